"""Whole runs of the 2013 program: every cost, every parameter, every printed line."""

import pytest

from deep_artists.evidence.check_artists import check_program, list_rungs

RUNS = [rung.arguments for rung in list_rungs("cpu", {}) if rung.check is check_program]


@pytest.mark.slow
@pytest.mark.parametrize("name, floatX, device", RUNS, ids=[f"{a[0]}-{a[1]}" for a in RUNS])
def test_a_recorded_run_is_followed(name, floatX, device):
    found = {
        quantity: (measured, bound)
        for quantity, bound, measured in check_program(name, floatX, device)
    }
    assert {"cost", "parameters after 1", "printed lines that differ"} <= set(found)
    for quantity, (measured, bound) in found.items():
        assert measured <= bound, quantity
