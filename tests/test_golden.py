"""The recordings: read through the manifest only, loud about a changed byte."""

import hashlib
import shutil

import numpy as np
import pytest

from deep_artists.reference import golden


def test_every_recording_is_in_the_manifest_and_unchanged():
    files = {str(p.relative_to(golden.GOLDEN)) for p in golden.GOLDEN.rglob("*") if p.is_file()}
    assert files - {"MANIFEST.json"} == set(golden.manifest())
    for name, entry in golden.manifest().items():
        assert golden.path(name).is_file()
        assert entry["recorded_by"] and entry["what"], name


def test_a_changed_byte_fails_loudly(tmp_path, monkeypatch):
    copy = tmp_path / "golden"
    shutil.copytree(golden.GOLDEN, copy)
    monkeypatch.setattr(golden, "GOLDEN", copy)
    name = "program/first-float64.npz"
    golden.load(name)
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(golden.RecordingError, match="has changed"):
        golden.load(name)
    with pytest.raises(golden.RecordingError, match="not in"):
        golden.path("program/unheard-of.npz")


def test_the_set_of_the_recordings_has_its_bytes():
    train, valid, test = golden.make_dataset()
    digests = [hashlib.sha256(a.tobytes()).hexdigest() for a in (train[0], valid[0], test[0])]
    assert digests == [
        "edcef370ce190b74ee5c642bcf085966367aa630d059675474997557d8a10a8f",
        "a9f9a11a13942d3c421490796ac48a41437b3250053e76be3ee9cfe169b09431",
        "e3fb57bdec60123fe2f32686ac9cc3c56063b0c964a4ca61af859dd5d666e3fe",
    ]
    assert train[1].dtype == np.int64
    assert hashlib.sha256(train[1].tobytes()).hexdigest().startswith("e7a17ef8ddeb71fe")
    silent = (train[0] == 0).all(axis=1)
    assert silent[5::16].all() and (np.ptp(train[0][11::37], axis=1) == 0).all()
