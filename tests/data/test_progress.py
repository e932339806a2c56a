"""Progress: a bar for who watches, a line every half minute for a log file, else nothing."""

import io
import sys

import pytest

from deep_artists.data import progress
from deep_artists.data.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by a second each time it is asked."""
    now = [0.0]

    def tick():
        now[0] += 1
        return now[0]

    monkeypatch.setattr(progress.time, "monotonic", tick)
    return now


def test_a_line_every_half_minute_without_a_terminal(clock, capsys):
    with Progress("train", 1000, "iteration", done=100) as bar:
        for _ in range(3):
            clock[0] += 20
            bar.update(100, "validation error 25.0 %")
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith("train: 300 of 1000 iterations, 4.") and "min left, validation" in err


def test_short_work_and_hidden_work_say_nothing(clock, capsys):
    with Progress("patches", 10, "track") as bar:
        for _ in range(10):
            bar.update()
    with Progress("patches", 10, "track", shown=False) as bar:
        clock[0] += 100
        bar.update()
    assert capsys.readouterr().err == ""


def test_a_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Progress("train", 10, "iteration", done=4) as bar:
        bar.total = 20
        bar.update(6, "validation error 25.0 %")
        with bar.aside():
            print("a line of the log")
        bar.bar.refresh()
    shown = sys.stderr.getvalue()
    assert "train" in shown and "10/20" in shown and "validation error 25.0 %" in shown
    assert capsys.readouterr().out == "a line of the log\n"


def test_work_goes_on_where_nobody_takes_the_lines(clock, monkeypatch):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    bar = Progress("patches", 10, "track")
    for _ in range(3):
        clock[0] += 100
        bar.update()
    assert bar.done == 3 and not bar.shown
    monkeypatch.setattr(sys, "stderr", None)
    Progress("patches", 10, "track").update()
