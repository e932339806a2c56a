"""What the sections of a page are put together from: tables, tiles, buttons, charts, pictures."""

import base64
import io
import re
from html import escape

import numpy as np

from ..data.figures import style


def percent(share):
    return "-" if share is None else f"{100 * share:.1f} %"


def make_tile(what, value, more):
    what, value, more = escape(what), escape(value), escape(more) or "&nbsp;"
    return f'<div class="tile">{what}<b>{value}</b><span class="faint">{more}</span></div>'


def make_table(head, rows):
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    lines = (
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        + "</tr>"
        for name, *cells in rows
    )
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def make_button(sound, name, word):
    if sound is None:
        return ""
    return (
        f'<button class="play" type="button" aria-pressed="false" aria-label="{word}: {name}" '
        f'data-sound="{sound}">{word}</button>'
    )


@style()
def make_chart(figure, name):
    """Return a figure as SVG whose black is the page's text colour."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Creator": None, "Date": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = svg.replace("#000000", "currentColor")
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{escape(name)}"', 1)
    return f'<figure class="chart">{svg}</figure>'


def encode_png(image):
    """Return an image, (rows, columns, 4) from 0 to 1, as a data URI."""
    from matplotlib.image import imsave

    file = io.BytesIO()
    imsave(file, np.ascontiguousarray(image), format="png", metadata={"Software": None})
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
