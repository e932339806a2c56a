"""What an object holds, in a few lines: as text, and as a table for a notebook."""

from html import escape

from .files import printable


def as_text(title, rows):
    """Return a title and rows of (name, value) as lines of text.

    >>> print(as_text("Model", [("artists", "ann, bob")]))
    Model
      artists   ann, bob
    """
    width = max((len(name) for name, _ in rows), default=0) + 2
    lines = [f"  {printable(f'{name:<{width}} {value}')}" for name, value in rows]
    return "\n".join([printable(title), *lines])


def as_html(title, rows):
    """Return the same as an HTML table.

    >>> as_html("Model", [("artists", "A & B")])
    '<table><caption>Model</caption><tr><th>artists</th><td>A &amp; B</td></tr></table>'
    """
    cells = (
        f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in rows
    )
    return f"<table><caption>{escape(title)}</caption>{''.join(cells)}</table>"


def list_names(names, shown=5):
    """Return the first of many names, and how many there are.

    >>> list_names(["ann", "bob", "cid"], shown=2)
    '3: ann, bob, ...'
    """
    names = list(names)
    more = ", ..." if len(names) > shown else ""
    return f"{len(names)}: {', '.join(map(str, names[:shown]))}{more}" if names else "none"
