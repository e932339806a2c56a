"""What `fetch` prints of what it has, and what it lacks."""

from deep_artists.cli import main
from deep_artists.data import open_music


def test_what_was_fetched_changed_or_is_missing_is_said(tmp_path, monkeypatch, capsys):
    there = ["Ann/a.ogg", "Bob/b.ogg"]
    missing = [("Cid/c.ogg", "no package"), ("Cid/d.ogg", "no package")]
    answers = [open_music.Fetched(there, [], []), open_music.Fetched(there, there[:1], missing)]
    monkeypatch.setattr(open_music, "fetch_open_music", lambda *_, **__: answers.pop(0))
    assert main(["fetch", "open-music", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.splitlines() == [
        f"wrote {tmp_path}: 2 tracks, tracks.csv ATTRIBUTION.md licenses/",
        f"next: deep-artists reproduce {tmp_path} --labels {tmp_path}/tracks.csv",
    ]
    assert main(["fetch", "open-music", str(tmp_path), "--packages", "debs"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "its package now has another file under this name: Ann/a.ogg",
        "missing 2 tracks: no package",
    ]
