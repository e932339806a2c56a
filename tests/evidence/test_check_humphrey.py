"""The rungs of Humphrey's systems: every recording has one, and a changed one is named."""

import pytest

from deep_artists.evidence import check_chroma, check_fretboard, verify
from deep_artists.reference import golden
from deep_artists.reference import inputs_humphrey as rule


def test_every_recording_has_a_rung():
    rungs = [*check_chroma.list_rungs(), *check_fretboard.list_rungs()]
    assert {rung.name for rung in rungs} <= {r.name for r in verify.list_rungs("cpu", {})}
    runs = {
        rung.name.replace("chroma ", "").replace("fretboard", "fret").replace(" ", "-")
        for rung in rungs
        if rung.slow
    }
    recorded = {
        name[len("humphrey/") : -len(".npz")].replace("chroma-", "")
        for name in golden.manifest()
        if name.startswith("humphrey/")
    }
    assert recorded - runs == {"ops-float32", "ops-float64", "lcn-float64"}
    assert runs <= recorded


def test_an_input_of_other_bytes_is_named(monkeypatch):
    monkeypatch.setitem(rule.SHA256, "slides", "0" * 64)
    report = verify.verify(parts=["l2norm"])
    assert [check.passed for check in report.checks] == [False, False]
    assert "input slides as made here is not the recorded one" in report.checks[0].measured


@pytest.mark.parametrize("part", ["rotation", "templates", "contrast"])
def test_quick_rungs_pass(part):
    checks = verify.verify(quick=True, parts=[part]).checks
    assert checks and all(check.passed for check in checks)
