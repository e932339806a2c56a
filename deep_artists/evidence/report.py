"""The table of a comparison, and the command ``deep-artists verify``."""

import json
from collections import Counter

import numpy as np

from .check_artists import compare_bits
from .machine import describe_machine, format_machine
from .verify import verify


def format_table(checks):
    """Return the checks as a table of text.

    Parameters
    ----------
    checks : list of Check

    Returns
    -------
    str

    Examples
    --------
    >>> from deep_artists.evidence.verify import Check
    >>> print(format_table([Check("mel power", "librosa", 1e-13, 2e-14, True)]))
    quantity   recorded by  bound    measured here
    mel power  librosa      1.0e-13  2.0e-14        pass
    """
    rows = [("quantity", "recorded by", "bound", "measured here", "")]
    for check in checks:
        reason = f" {check.measured}" if isinstance(check.measured, str) else ""
        numbers = ("-", "-") if reason else map(format_number, (check.bound, check.measured))
        rows.append((*check[:2], *numbers, ("pass" if check.passed else "FAIL") + reason))
    widths = [max(map(len, column)) for column in list(zip(*rows))[:4]]
    return "\n".join("  ".join([*map(str.ljust, row, widths), row[4]]).rstrip() for row in rows)


def format_number(value):
    return f"{value:.1e}" if isinstance(value, float) and value else f"{value:g}"


def main(quick=False, as_json=False, device="cpu"):
    """Verify, print what was found, return the exit status: 1 if a check failed.

    Parameters
    ----------
    quick, device
        See `verify`.
    as_json : bool
        Print one JSON document instead of text.
    """
    report, machine = verify(quick, device=device), describe_machine(device)
    # The record is of the cpu: beside our kernels, another device has XLA's code.
    same = compare_bits(report.parameters_sha256) if device == "cpu" else {}
    n_passed = sum(check.passed for check in report.checks)
    version = machine["versions"]["deep_artists"] or ""
    revision = f"git {machine['revision']}" if machine["revision"] else ""
    cite = (
        "Deep Unlearning (McFee and Montecchio, HAMR 2013), rebuilt by deep_artists "
        f"{' '.join(filter(None, (version, revision)))}: {n_passed} of {len(report.checks)} "
        "checks passed."
    )
    if as_json:
        checks = [check._asdict() for check in report.checks]
        for check in checks:
            if isinstance(check["measured"], float) and not np.isfinite(check["measured"]):
                check["measured"] = str(check["measured"])  # JSON has no inf and no nan
        print(
            json.dumps(
                {
                    **report._asdict(),
                    "checks": checks,
                    "bits_on_record": same,
                    "machine": machine,
                    "cite": cite,
                    "passed": n_passed == len(checks),
                },
                indent=1,
                allow_nan=False,
            )
        )
    else:
        print(format_table(report.checks))
        print(
            "\nMeasured is the largest difference of an array, relative to its largest recorded\n"
            "entry (cost, nll, 'each': to that entry); where the bound is 0, what differs is\n"
            "counted. g<name> is the gradient for that input."
        )
        print(f"\n{n_passed} of {len(report.checks)} passed.")
        if report.left_out:
            counts = Counter(name.split()[0] for name in report.left_out)
            parts = ", ".join(f"{name} {n}" for name, n in counts.items())
            print(f"Left out by --quick, groups of checks: {parts}.")
        print(f"\nThis machine:\n{format_machine(machine)}")
        print("\nSHA-256 of the parameters after ten steps; where it is the same, so is every bit:")
        for run, digest in report.parameters_sha256.items():
            record = {True: "  the bits on record", False: "  not the bits on record"}
            print(f"{run:<16}{digest}{record.get(same.get(run), '')}")
        print(f"\nTo cite: {cite}")
    return int(n_passed < len(report.checks))
