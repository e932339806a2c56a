"""Compare this machine's results with the originals' recorded numbers.

What is computed here is compared with what Theano 0.6, librosa of 2013 or the 2013 program
computed, never with an earlier result of this package. Each bound stands beside its check.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tqdm import tqdm

from ..ops.device import check_device
from . import (
    check_artists,
    check_bits,
    check_blocks,
    check_chroma,
    check_fretboard,
    check_frontend,
    check_genre,
    check_hessian_free,
    check_ops,
)

SYSTEMS = check_blocks, check_chroma, check_fretboard, check_genre, check_hessian_free  # on cpu


class Check(NamedTuple):
    """A row of the table."""

    quantity: str
    recorded_by: str
    bound: float | None  # the largest difference that passes; None: nothing could be measured
    measured: float | str  # the difference found here, or why there is none
    passed: bool


class Report(NamedTuple):
    """What `verify` found."""

    checks: list  # of Check
    parameters_sha256: dict  # "recipe dtype" -> of the bytes after ten steps, in order of NAMES
    left_out: list  # of str: checks that `quick` left out


def verify(quick: bool = False, parts: Iterable[str] | None = None, device: str = "cpu") -> Report:
    """Compare what this machine computes with the recordings.

    Parameters
    ----------
    quick : bool
        Leave out the whole runs of the programs.
    parts : iterable of str, optional
        Only checks with one of these words in their name: 'frontend', 'ops', 'initial', 'network',
        'program', 'bits', 'blocks', 'chroma', 'fretboard', 'genre', the name of an Op, a recipe
        or a dtype.
    device : {'cpu', 'cuda'}
        What computes; on cuda our kernels' outputs must also be those of the C code, bit for bit.

    Returns
    -------
    Report
        A check that cannot be made, of a changed recording say, fails and gives the reason.

    Examples
    --------
    >>> checks = verify(parts=["initial"]).checks
    >>> len(checks), all(check.passed for check in checks)
    (5, True)
    """
    check_device(device)
    report = Report([], {}, [])
    rungs = [
        rung
        for rung in list_rungs(device, report.parameters_sha256)
        if parts is None or {*rung.name.split()} & {*parts}
    ]
    if quick:
        report.left_out.extend(rung.name for rung in rungs if rung.slow)
    # disable=None: on a terminal only; tqdm writes to stderr.
    bar = tqdm([rung for rung in rungs if rung.name not in report.left_out], disable=None)
    for name, recorded_by, check, arguments, _ in bar:
        bar.set_description(name)
        try:
            for quantity, bound, measured in check(*arguments):
                row = f"{name}: {quantity}", recorded_by, bound, measured, bool(measured <= bound)
                report.checks.append(Check(*row))
        except Exception as error:  # the other checks are still worth making
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            report.checks.append(Check(name, recorded_by, None, reason, False))
    return report


def list_rungs(device, digests):
    """Return the ladder from the front end to whole runs: a list of Rung.

    digests : dict that the checks of networks add to
    """
    return [
        *check_frontend.list_rungs(),
        *check_bits.list_rungs(device),
        *check_ops.list_rungs(device),
        *check_artists.list_rungs(device, digests),
        *(rung for check in SYSTEMS if device == "cpu" for rung in check.list_rungs()),
    ]
