"""How far some work is: a bar on a terminal or in a notebook, else a line every half minute.

Both go to stderr, so that results on stdout stay what they are.
"""

import sys
import time
from contextlib import nullcontext

EVERY_S = 30


class Progress:
    """A bar, or lines, for work that is done in steps; used in a ``with`` statement.

    Parameters
    ----------
    name, unit : str
        What is going on, and what is counted, in the singular.
    total : int
        Steps expected; may be set while the work goes on.
    done : int
        Steps made earlier.
    shown : bool
        Whether to show anything.
    kept : bool
        Whether the bar stays when the work is done.
    """

    def __init__(self, name, total, unit, done=0, shown=True, kept=True):
        self.name, self.total, self.unit = name, total, unit
        self.done = self.first = done
        self.shown, self.bar = shown, None
        self.start = self.spoken = time.monotonic()
        if shown and is_watched():
            from tqdm.auto import tqdm

            # A bar of tqdm.auto is a widget in a notebook.
            self.bar = tqdm(
                desc=name, total=total, unit=unit, initial=done, leave=kept, dynamic_ncols=True
            )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.bar is not None:
            self.bar.close()

    def update(self, n=1, remark=""):
        """Count steps that were made; show them where it is time to."""
        self.done += n
        if self.bar is not None:
            self.bar.total = self.total
            self.bar.set_postfix_str(remark, refresh=False)
            self.bar.update(n)
        elif self.shown and time.monotonic() - self.spoken >= EVERY_S:
            self.spoken = time.monotonic()
            self.shown = write_line(f"{self.describe()}{remark and f', {remark}'}")

    def describe(self):
        """Return how far the work is, as a line of a log."""
        rate = (self.done - self.first) / max(time.monotonic() - self.start, 1e-9)
        text = f"{self.name}: {self.done} of {self.total} {self.unit}s, {rate:.3g} a second"
        if rate:
            text += f", {max(0, self.total - self.done) / rate / 60:.1f} min left"
        return text

    def aside(self):
        """Return a context in which other lines can be printed without tearing the bar."""
        if self.bar is None:
            return nullcontext()
        return self.bar.external_write_mode()


def is_watched():
    """Return whether somebody sees a bar: on a terminal, or in a notebook."""
    ipython = sys.modules.get("IPython")
    if ipython is not None and "IPKernelApp" in getattr(ipython.get_ipython(), "config", {}):
        return True
    return sys.stderr is not None and sys.stderr.isatty()


def write_line(text):
    """Print to stderr; return whether somebody takes it."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        return False
    return sys.stderr is not None
