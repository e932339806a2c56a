"""Folders of audio, extracted: what is kept, what is left out, and what it takes."""

import errno
import json
import os
import shutil
import subprocess
import sys
import time
import tracemalloc

import joblib
import numpy as np
import pytest
import soundfile

from deep_artists.data import extraction, extraction_tasks, patches, shards
from deep_artists.data.extraction import extract_folder, read_failed
from deep_artists.data.files import own_folder
from deep_artists.data.patches import AudioError, extract_patches
from deep_artists.data.tracks import open_patches


def tone(n, sr_hz=22050, seed=0):
    rng = np.random.RandomState(seed)
    t_s = np.arange(n) / sr_hz
    return 0.3 * np.sin(2 * np.pi * 440 * t_s) + 0.01 * rng.uniform(-1, 1, size=n)


def files(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}


def write_bad_files(folder):
    y = tone(3 * 22050)
    (folder / "text.mp3").write_text("no music\n" * 99)
    (folder / "empty.ogg").write_bytes(b"")
    soundfile.write(folder / "whole.flac", y, 22050)
    data = (folder / "whole.flac").read_bytes()
    (folder / "whole.flac").unlink()
    (folder / "truncated.flac").write_bytes(data[: len(data) // 2])
    hours = bytearray(data)  # the header's count of samples, 36 bits, says 865 hours
    hours[8 + 13] |= 0x0F
    hours[8 + 14 : 8 + 18] = b"\xff\xff\xff\xff"
    (folder / "hours.flac").write_bytes(hours)
    header = b".snd" + b"".join(n.to_bytes(4, "big") for n in (24, 0xFFFFFFFF, 3, 22050, 10**9))
    (folder / "channels.au").write_bytes(header + bytes(9000))
    header = b".snd" + b"".join(n.to_bytes(4, "big") for n in (24, 0xFFFFFFFF, 3, 0, 1))
    (folder / "rate.au").write_bytes(header + bytes(90000))
    soundfile.write(folder / "short.wav", y[:5000], 22050)
    y[50] = np.nan
    soundfile.write(folder / "nan.wav", y, 22050, subtype="FLOAT")
    (folder / "link.wav").symlink_to("nowhere.wav")
    os.mkfifo(folder / "pipe.wav")
    return sorted(path.name for path in folder.iterdir())


def test_bad_files_are_reported_and_left_out(tmp_path):
    audio, out = tmp_path / "audio", tmp_path / "out"
    audio.mkdir()
    bad = write_bad_files(audio)
    soundfile.write(audio / "good.wav", tone(22050), 22050)
    report = extract_folder(audio, out)
    assert report == (1, 0, len(bad), out / "failed.csv", {})
    failed = list(read_failed(report.report))
    assert [source for source, _ in failed] == bad and all(reason for _, reason in failed)
    assert sorted(files(out)) == ["failed.csv", "good.wav.mel.json", "good.wav.mel.npy"]
    for name in set(bad) - {"link.wav", "pipe.wav"}:
        with pytest.raises(AudioError, match=name):
            extract_patches(audio / name)


def test_folder_is_extracted_with_what_made_it(tmp_path):
    audio, out = tmp_path / "audio", tmp_path / "out"
    (audio / "b").mkdir(parents=True)
    (audio / ".hidden").mkdir()
    (audio / "b" / "loop").symlink_to(audio)
    stereo = np.stack([tone(88200, 44100), tone(88200, 44100, seed=1)], axis=1)
    soundfile.write(audio / "b" / "x.flac", stereo, 44100)
    for name in ("b/x.wav", "A.WAV", ".hidden.wav", ".hidden/y.wav"):
        soundfile.write(audio / name, tone(22050), 22050)
    (audio / "notes.txt").write_text("not audio")

    report = extract_folder(audio, out)
    assert report[:3] == (3, 0, 0)
    assert len(files(out)) == 7
    x = np.load(out / "b/x.flac.mel.npy", allow_pickle=False)
    np.testing.assert_array_equal(x, extract_patches(audio / "b/x.flac"))
    made_from = json.loads((out / "b/x.flac.mel.json").read_text())
    assert made_from["resampled"] is True and made_from["source_sr_hz"] == 44100
    assert made_from["source_channels"] == 2 and made_from["used_s"] == 2.0
    assert made_from["source"] == "b/x.flac" and made_from["n_patches"] == len(x)
    assert made_from["settings"] == patches.SETTINGS
    assert {"librosa", "libsndfile", "numpy"} <= set(made_from["versions"])
    assert json.loads((out / "A.WAV.mel.json").read_text())["resampled"] is False


def test_only_what_changed_is_extracted_again(tmp_path, monkeypatch):
    audio, out = tmp_path / "audio", tmp_path / "out"
    audio.mkdir()
    for i in range(4):
        soundfile.write(audio / f"{i}.wav", tone(22050, seed=i), 22050)
    extract_folder(audio, out)
    kept = files(out)
    soundfile.write(audio / "1.wav", tone(22050, seed=9), 22050)
    (out / "2.wav.mel.npy").write_bytes(kept["2.wav.mel.npy"][:-4])
    (out / "3.wav.mel.json").write_text("[1, 2")
    assert extract_folder(audio, out)[:3] == (3, 1, 0)
    now = files(out)
    assert [name for name in kept if kept[name] != now[name]] == [
        name for name in kept if name.startswith("1.")
    ]
    monkeypatch.setattr(patches, "SETTINGS", {**patches.SETTINGS, "hop_length": 256})
    assert extract_folder(audio, out)[:3] == (4, 0, 0)


def test_an_interrupted_write_is_not_taken_for_done(tmp_path, monkeypatch):
    audio, out = tmp_path / "audio", tmp_path / "out"
    audio.mkdir()
    soundfile.write(audio / "a.wav", tone(22050), 22050)
    extract_folder(audio, out)
    kept = (out / "a.wav.mel.npy").read_bytes()
    soundfile.write(audio / "a.wav", tone(22050, seed=1), 22050)

    def interrupt(file, parts):
        file.write(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(extraction_tasks, "write_patches", interrupt)
        with pytest.raises(KeyboardInterrupt):
            extract_folder(audio, out)
    assert (out / "a.wav.mel.npy").read_bytes() == kept
    assert sorted(files(out)) == [".unfinished", "a.wav.mel.json", "a.wav.mel.npy"]
    assert extract_folder(audio, out)[:3] == (1, 0, 0)


def test_jobs_do_not_change_a_bit(tmp_path):
    audio = tmp_path / "audio"
    audio.mkdir()
    for i in range(6):  # 2013's parallel extractor gave every worker the last listed file
        soundfile.write(audio / f"{i}.wav", tone(44100, 44100, seed=i), 44100)
    (audio / "bad.wav").write_text("text")
    reports = [extract_folder(audio, tmp_path / f"out{jobs}", jobs=jobs) for jobs in (1, 2)]
    assert reports[0][:3] == reports[1][:3] == (6, 0, 1)
    assert files(tmp_path / "out1") == files(tmp_path / "out2")
    assert len({files(tmp_path / "out2")[f"{i}.wav.mel.npy"] for i in range(6)}) == 6


def test_folders_that_cannot_be_used(tmp_path):
    with pytest.raises(AudioError, match="no such folder"):
        extract_folder(tmp_path / "missing", tmp_path / "out")
    with pytest.raises(AudioError, match="holds no audio file"):
        extract_folder(tmp_path, tmp_path / "out")
    soundfile.write(tmp_path / "a.wav", tone(22050), 22050)
    with pytest.raises(ValueError, match="a.wav.*cannot be written to"):
        extract_folder(tmp_path, tmp_path / "a.wav" / "out")


def test_progress_is_silent_off_a_terminal(tmp_path, capfd):
    soundfile.write(tmp_path / "a.wav", tone(22050), 22050)
    extract_folder(tmp_path, tmp_path / "out")
    assert capfd.readouterr() == ("", "")


def write_tracks(folder, n=12, n_samples=8000):
    for i in range(n):
        path = folder / f"artist {i % 3}" / f"{i:02}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, tone(n_samples + 500 * i, seed=i), 22050)
    return folder


@pytest.mark.parametrize("shard_tracks", [None, 4])
def test_what_failed_is_listed_and_tried_again(tmp_path, shard_tracks, monkeypatch):
    audio, out = write_tracks(tmp_path / "audio"), tmp_path / "out"
    names = ['artist 0/\udcff, "one".wav', "artist 1/line\nend.wav"]
    for name in names:
        (audio / name).write_text("no sound")
    report = extract_folder(audio, out, shard_tracks=shard_tracks)
    assert report == (12, 0, 2, out / "failed.csv", {})
    assert [name for name, _ in read_failed(report.report)] == names
    assert all("decoded" in reason for _, reason in read_failed(report.report))
    kept = files(out)
    assert extract_folder(audio, out, shard_tracks=shard_tracks)[:3] == (0, 12, 2)
    assert files(out) == kept

    def read_all(*_):  # as a newer library may
        return np.ones((2, 2560), np.float32), {}

    monkeypatch.setattr(extraction_tasks, "extract_file", read_all)
    report = extract_folder(audio, out, shard_tracks=shard_tracks)
    assert report[:3] == (2, 12, 0) and list(read_failed(report.report)) == []


def test_a_run_that_is_stopped_leaves_no_report(tmp_path, monkeypatch):
    audio, out = write_tracks(tmp_path / "audio"), tmp_path / "out"
    extract_file, calls = extraction_tasks.extract_file, []

    def interrupt(path, *more):
        calls.append(path)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return extract_file(path, *more)

    with monkeypatch.context() as patch:
        patch.setattr(extraction_tasks, "extract_file", interrupt)
        with pytest.raises(KeyboardInterrupt):
            extract_folder(audio, out)
    assert len(list(out.rglob("*.mel.json"))) == 5
    others = [path for path in out.rglob("*") if path.is_file() and ".mel." not in path.name]
    assert others == [out / ".unfinished"]
    with pytest.raises(ValueError, match="out: not all patches are there; extract again"):
        open_patches(out)
    assert extract_folder(audio, out)[:3] == (7, 5, 0)


def test_memory_does_not_grow_with_the_number_of_tracks(tmp_path, monkeypatch):
    (tmp_path / "audio").mkdir()

    def measure(n):
        folders = range(n // 100)
        monkeypatch.setattr(
            extraction,
            "iterate_files",
            lambda folder, suffixes, **_: (
                f"artist {a}/an album of some name/track {t}.ogg"
                for a in folders
                for t in range(100)
            ),
        )
        monkeypatch.setattr(
            extraction,
            "run_task",
            lambda task, name, sources, *_: (name, len(sources) - 1, 0, [(sources[0], "a reason")]),
        )
        tracemalloc.start()
        report = extract_folder(tmp_path / "audio", tmp_path / "out")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert report.done + report.failed == n and report.failed == -(-n // 16)
        assert sum(1 for _ in read_failed(report.report)) == report.failed
        return peak

    measure(1000)  # imports
    assert measure(40_000) < measure(1000) + 200_000  # a list of the names has 5 MB


def test_tracks_that_are_not_accounted_for_are_an_error(tmp_path, monkeypatch):
    audio, out = write_tracks(tmp_path / "audio"), tmp_path / "out"
    monkeypatch.setattr(extraction, "extract_files", lambda *_, clip: (11, 0, []))
    with pytest.raises(RuntimeError, match="12 tracks were listed, and 11 accounted for"):
        extract_folder(audio, out)
    assert not (out / "failed.csv").exists()


def test_folders_that_a_worker_does_not_see(tmp_path):
    audio, out = write_tracks(tmp_path / "audio"), tmp_path / "out"
    out.mkdir()
    (out / "marker").touch()
    arguments = (extraction_tasks.extract_files, "", ["artist 0/00.wav", "gone.wav"])
    assert extraction_tasks.run_task(*arguments, audio, out / "marker")[1:3] == (1, 0)
    with pytest.raises(FileNotFoundError, match=f"does not see the files in {out}: "):
        extraction_tasks.run_task(*arguments, audio, out / "another marker")
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        FileNotFoundError, match=f"does not see the files in {tmp_path / 'empty'}: "
    ):
        extraction_tasks.run_task(*arguments, tmp_path / "empty", out / "marker")


# --- shards ---


@pytest.fixture(scope="module")
def twelve(tmp_path_factory):
    return write_tracks(tmp_path_factory.mktemp("audio"))


def read_tracks(folder):
    """Return the patches of every track in a folder of shards."""
    there = shards.Shards(folder)
    return {name: there.open(name)[0].tobytes() for name in there.names}


def test_shards_hold_what_the_files_hold(twelve, tmp_path):
    extract_folder(twelve, tmp_path / "files")
    assert extract_folder(twelve, tmp_path / "shards", shard_tracks=4)[:3] == (12, 0, 0)
    single = {
        path.relative_to(tmp_path / "files").as_posix().removesuffix(".mel.npy"): np.load(
            path
        ).tobytes()
        for path in (tmp_path / "files").rglob("*.npy")
    }
    assert read_tracks(tmp_path / "shards") == single
    paths = sorted((tmp_path / "shards").glob("shard-*.npy"))
    assert 2 <= len(paths) <= 6 and not list((tmp_path / "shards").rglob("*.mel.npy"))
    for path in paths:
        x = np.load(path, mmap_mode="r", allow_pickle=False)
        np.save(tmp_path / "again.npy", x)
        assert path.read_bytes() == (tmp_path / "again.npy").read_bytes()
        index = json.loads(path.with_suffix(".json").read_text())
        assert index["settings"] == patches.SETTINGS and "librosa" in index["versions"][0]
        for track in index["tracks"]:
            made_from = json.loads((tmp_path / "files" / f"{track['source']}.mel.json").read_text())
            for key in ("source_sha256", "n_patches", "used_s", "source_sr_hz", "resampled"):
                assert track[key] == made_from[key]


def test_jobs_do_not_change_a_bit_of_shards(twelve, tmp_path):
    for jobs in (1, 2):
        extract_folder(twelve, tmp_path / f"out{jobs}", jobs=jobs, shard_tracks=3)
    assert files(tmp_path / "out1") == files(tmp_path / "out2")


def test_only_the_tracks_that_changed_are_extracted_again_for_shards(twelve, tmp_path, monkeypatch):
    audio, out = tmp_path / "audio", tmp_path / "out"
    shutil.copytree(twelve, audio)
    extract_folder(audio, out, shard_tracks=40)
    before = read_tracks(out)
    soundfile.write(audio / "artist 1" / "04.wav", tone(30_000, seed=99), 22050)
    (audio / "artist 0" / "03.wav").unlink()
    shutil.copy(audio / "artist 2" / "02.wav", audio / "artist 2" / "02b.wav")
    extract_file, extracted = extraction_tasks.extract_file, []
    monkeypatch.setattr(
        extraction_tasks,
        "extract_file",
        lambda path, *more: (extracted.append(path.name), extract_file(path, *more))[1],
    )
    assert extract_folder(audio, out, shard_tracks=40)[:3] == (2, 10, 0)
    assert set(extracted) == {"04.wav", "02b.wav"}
    after = read_tracks(out)
    assert before.keys() - after.keys() == {"artist 0/03.wav"}
    assert after["artist 1/04.wav"] == extract_patches(audio / "artist 1" / "04.wav").tobytes()
    assert after["artist 2/02b.wav"] == after["artist 2/02.wav"]
    assert all(
        after[name] == before[name]
        for name in after.keys() & before.keys()
        if name != "artist 1/04.wav"
    )
    extract_folder(audio, tmp_path / "fresh", shard_tracks=40)
    assert files(out) == files(tmp_path / "fresh")


@pytest.mark.parametrize("damage", ["settings", "index", "patches", "no patches"])
def test_shards_that_cannot_be_trusted_are_extracted_again(twelve, tmp_path, damage, monkeypatch):
    extract_folder(twelve, tmp_path, shard_tracks=4)
    kept = files(tmp_path)
    path = sorted(tmp_path.glob("*.npy"))[0]
    n = len(json.loads(path.with_suffix(".json").read_text())["tracks"])
    if damage == "settings":
        index = json.loads(path.with_suffix(".json").read_text())
        index["settings"]["hop_length"] = 256
        path.with_suffix(".json").write_text(json.dumps(index))
    elif damage == "index":
        path.with_suffix(".json").write_text('{"format": 1, "tracks": [{}]}')
    elif damage == "patches":
        path.write_bytes(path.read_bytes()[:-4])
    else:
        path.unlink()
    assert extract_folder(twelve, tmp_path, shard_tracks=4)[:3] == (n, 12 - n, 0)
    assert files(tmp_path) == kept


def test_an_interrupted_shard_is_not_taken_for_done(twelve, tmp_path, monkeypatch):
    extract_file, calls = extraction_tasks.extract_file, []

    def interrupt(path, *more):
        calls.append(path)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return extract_file(path, *more)

    with monkeypatch.context() as patch:
        patch.setattr(extraction_tasks, "extract_file", interrupt)
        with pytest.raises(KeyboardInterrupt):
            extract_folder(twelve, tmp_path, shard_tracks=2)
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(ValueError, match="not all shards are there.*extract again"):
        shards.Shards(tmp_path)
    report = extract_folder(twelve, tmp_path, shard_tracks=2)
    assert report.reused >= 2 and report.done + report.reused == 12
    extract_folder(twelve, tmp_path / "whole", shard_tracks=2)
    whole = files(tmp_path / "whole")
    assert {name: data for name, data in files(tmp_path).items() if "/" not in name} == whole


def test_an_interrupted_change_keeps_the_old_shard(twelve, tmp_path, monkeypatch):
    audio, out = tmp_path / "audio", tmp_path / "out"
    shutil.copytree(twelve, audio)
    extract_folder(audio, out, shard_tracks=40)
    shutil.copy(audio / "artist 2" / "02.wav", audio / "artist 2" / "02b.wav")

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shards.np, "ascontiguousarray", interrupt)
        with pytest.raises(KeyboardInterrupt):
            extract_folder(audio, out, shard_tracks=40)
    assert extract_folder(audio, out, shard_tracks=40)[:3] == (1, 12, 0)


def test_a_full_disk_is_no_fault_of_a_track(twelve, tmp_path, monkeypatch):
    def fill(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(extraction_tasks, "new_file", fill)
    with pytest.raises(OSError, match="No space left"):
        extraction_tasks.extract_files(twelve, tmp_path, "", ["artist 2/02.wav"])


def test_a_track_more_alters_one_shard():
    names = [f"artist {i // 20}/{i}.ogg" for i in range(3000)]
    cut = dict(shards.cut_shards(names, 64))
    assert sum(cut.values(), []) == names
    sizes = [len(shard) for shard in cut.values()]
    assert min(sizes[:-1]) >= 32 and max(sizes) <= 128 and 50 <= np.mean(sizes) <= 78
    for i in (0, 1234, 2999):
        more = dict(shards.cut_shards([*names[:i], names[i] + "a", *names[i:]], 64))
        assert sum(cut.get(shard) != tracks for shard, tracks in more.items()) <= 2


def test_memory_does_not_grow_with_the_shard(tmp_path, monkeypatch):
    audio = write_tracks(tmp_path / "audio", n=40, n_samples=6000)
    x = np.ones((500, 2560), np.float32)  # 5 MB
    monkeypatch.setattr(extraction_tasks, "extract_file", lambda path, *_: (x.copy(), {}))
    extract_folder(audio, tmp_path / "warm", shard_tracks=1)
    tracemalloc.start()
    extract_folder(audio, tmp_path / "out", shard_tracks=1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(list((tmp_path / "out").glob("*.npy"))) == 1
    assert peak < 16e6  # three tracks of 40: the first, the one that is written, and the next


def test_two_layouts_in_one_folder_are_refused(twelve, tmp_path):
    extract_folder(twelve, tmp_path / "files")
    with pytest.raises(ValueError, match="files: holds a file for each track"):
        extract_folder(twelve, tmp_path / "files", shard_tracks=4)
    extract_folder(twelve, tmp_path / "shards", shard_tracks=4)
    for shard_tracks in (None, 5):
        with pytest.raises(ValueError, match="about 4 tracks.*--shard-tracks 4"):
            extract_folder(twelve, tmp_path / "shards", shard_tracks=shard_tracks)
    with pytest.raises(ValueError, match="0 tracks a shard"):
        extract_folder(twelve, tmp_path / "none", shard_tracks=0)


def write_patches_of(folder, out, shard_tracks):
    """Extract, and return what a set would be made of: the patches by track."""
    report = extract_folder(folder, out, shard_tracks=shard_tracks)
    there = open_patches(out)
    return report, {name: there.open(name)[0].tobytes() for name in there.names}


@pytest.mark.parametrize("shard_tracks", [None, 4])
def test_the_folder_holds_the_audio_as_it_is_now(twelve, tmp_path, shard_tracks):
    audio, out = tmp_path / "audio", tmp_path / "out"
    shutil.copytree(twelve, audio)
    extract_folder(audio, out, shard_tracks=shard_tracks)
    (audio / "artist 0" / "00.wav").unlink()
    (audio / "artist 0" / "03.wav").rename(audio / "artist 0" / "renamed.wav")
    (audio / "artist 1" / "04.wav").write_text("spoilt")
    (audio / "artist 2").rename(audio / "artist 9")
    report, now = write_patches_of(audio, out, shard_tracks)
    assert report.failed == 1 and report.done + report.reused == 10
    _, fresh = write_patches_of(audio, tmp_path / "fresh", shard_tracks)
    assert now == fresh and len(now) == 10 and "artist 1/04.wav" not in now
    listed = {name for name in files(out) if not name.startswith("shard-")}
    assert listed == {name for name in files(tmp_path / "fresh") if not name.startswith("shard-")}


def test_what_extract_did_not_write_is_left_alone(twelve, tmp_path):
    path = tmp_path / "artist 0" / "mine.mel.npy"
    path.parent.mkdir()
    path.write_bytes(b"mine")
    (tmp_path / "notes.mel.json").write_bytes(b"mine too")
    extract_folder(twelve, tmp_path)
    extract_folder(twelve, tmp_path)
    assert path.read_bytes() == b"mine" and (tmp_path / "notes.mel.json").exists()


@pytest.mark.parametrize("shard_tracks", [None, 4])
def test_a_folder_that_cannot_be_read_is_a_failure(twelve, tmp_path, shard_tracks, monkeypatch):
    extract_folder(twelve, tmp_path, shard_tracks=shard_tracks)
    scandir = os.scandir

    def scan(folder):
        if os.path.normpath(folder) == str(twelve / "artist 1"):
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", scan)
    report, now = write_patches_of(twelve, tmp_path, shard_tracks)
    assert report[:3] == (0, 8, 1)
    assert list(read_failed(report.report)) == [("artist 1/", "cannot be read (Permission denied)")]
    assert {name.split("/")[0] for name in now} == {"artist 0", "artist 2"}
    monkeypatch.setattr(os, "scandir", lambda folder: scan(twelve / "artist 1"))
    with pytest.raises(AudioError, match="cannot be read .*Permission denied"):
        extract_folder(twelve, tmp_path, shard_tracks=shard_tracks)


def test_what_is_no_audio_is_counted_and_what_cannot_be_decoded_fails(tmp_path):
    audio = tmp_path / "audio"
    audio.mkdir()
    soundfile.write(audio / "a.wav", tone(22050), 22050)
    for name in ("b.m4a", "c.wma", "d.AAC", "cover.jpg", "back.JPG", "README"):
        (audio / name).write_bytes(bytes(1000))
    report = extract_folder(audio, tmp_path / "out")
    assert report[:3] == (1, 0, 3) and report.others == {".jpg": 2, "": 1}
    failed = dict(read_failed(report.report))
    assert sorted(failed) == ["b.m4a", "c.wma", "d.AAC"]
    assert all("convert it to FLAC" in reason for reason in failed.values())


@pytest.mark.parametrize("suffix", ["au", "wav"])
def test_bytes_without_a_header_are_no_music(tmp_path, suffix):
    data = np.random.RandomState(0).bytes(100_000)
    (tmp_path / f"noise.{suffix}").write_bytes(data)
    with pytest.raises(AudioError, match="convert it to FLAC"):
        extract_patches(tmp_path / f"noise.{suffix}")
    soundfile.write(tmp_path / "music.au", tone(22050), 22050)
    assert len(extract_patches(tmp_path / "music.au")) == 4


DAMAGE = [
    b"",
    b"[1]",
    b"null",
    b"[" * 10**5,
    b"{}",
    b'{"settings": 3, "n_patches": "x"}',
    "zip",
    "npy",
]


@pytest.mark.parametrize("shard_tracks", [None, 4])
@pytest.mark.parametrize("damage", DAMAGE)
def test_whatever_is_damaged_in_the_folder_is_made_again(twelve, tmp_path, shard_tracks, damage):
    extract_folder(twelve, tmp_path, shard_tracks=shard_tracks)
    kept = files(tmp_path)
    if damage == "zip":
        np.savez(tmp_path / "zip.npz", x=np.ones(3))
        damage = (tmp_path / "zip.npz").read_bytes()
        (tmp_path / "zip.npz").unlink()
    elif damage == "npy":  # as many patches, of another dtype
        header = "{'descr': '<i4', 'fortran_order': False, 'shape': (3, 2560)}\n"
        damage = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
        damage += bytes(4 * 3 * 2560)
    for path in [path for path in tmp_path.rglob("*.*") if path.suffix in (".json", ".npy")][::2]:
        path.write_bytes(damage)
    assert extract_folder(twelve, tmp_path, shard_tracks=shard_tracks).failed == 0
    assert files(tmp_path) == kept


@pytest.mark.parametrize("shard_tracks", [None, 4])
def test_two_writers_of_one_folder(twelve, tmp_path, shard_tracks):
    with own_folder(tmp_path / "out"):
        with pytest.raises(ValueError, match="out: another process is writing there"):
            extract_folder(twelve, tmp_path / "out", shard_tracks=shard_tracks)
    extract_folder(twelve, tmp_path / "alone", shard_tracks=shard_tracks)
    code = (
        "import sys\n"
        "from deep_artists.data.extraction import extract_folder\n"
        f"extract_folder(sys.argv[1], sys.argv[2], shard_tracks={shard_tracks})\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-c", code, str(twelve), str(tmp_path / "out")]
    runs = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) for _ in range(3)]
    words = [run.communicate()[1] for run in runs]
    status = [run.returncode for run in runs]
    assert 0 in status
    assert all(s == 0 or b"another process is writing" in w for s, w in zip(status, words))
    assert files(tmp_path / "out") == files(tmp_path / "alone")


def test_a_shard_that_is_handed_out_twice_is_whole(twelve, tmp_path, monkeypatch):
    sources = sorted(p.relative_to(twelve).as_posix() for p in twelve.rglob("*.wav"))
    (tmp_path / "alone").mkdir()
    extraction_tasks.extract_shard(twelve, tmp_path / "alone", "id", sources)
    (tmp_path / "out").mkdir()
    extract_file, second = extraction_tasks.extract_file, []

    def extract_late(path, *more):
        if path.name == "08.wav" and not second:
            second.append(True)
            extraction_tasks.extract_shard(twelve, tmp_path / "out", "id", sources)
        return extract_file(path, *more)

    monkeypatch.setattr(extraction_tasks, "extract_file", extract_late)
    extraction_tasks.extract_shard(twelve, tmp_path / "out", "id", sources)
    assert second and files(tmp_path / "out") == files(tmp_path / "alone")


def test_a_new_track_of_a_shard_is_extracted_once(twelve, tmp_path, monkeypatch):
    extract_file, extracted = extraction_tasks.extract_file, []
    monkeypatch.setattr(
        extraction_tasks,
        "extract_file",
        lambda path, *more: (extracted.append(path.name), extract_file(path, *more))[1],
    )
    extract_folder(twelve, tmp_path, shard_tracks=4)
    assert sorted(extracted) == sorted(path.name for path in twelve.rglob("*.wav"))


@pytest.mark.parametrize("shard_tracks", [None, 4])
def test_the_litter_of_a_killed_run_is_removed(twelve, tmp_path, shard_tracks):
    extract_folder(twelve, tmp_path / "clean", shard_tracks=shard_tracks)
    (tmp_path / "out" / "artist 1").mkdir(parents=True)
    litter = [".failed.csv.0.tmp", ".shard-0.npy.1.tmp", "artist 1/.04.wav.mel.npy.2.tmp"]
    for name in litter[: 2 if shard_tracks else 3]:
        (tmp_path / "out" / name).touch()
    (tmp_path / "out" / ".lock").touch()
    extract_folder(twelve, tmp_path / "out", shard_tracks=shard_tracks)
    assert files(tmp_path / "out") == files(tmp_path / "clean")


def test_workers_end_with_the_run_that_is_killed(twelve, tmp_path):
    code = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from deep_artists.data.workers import run_tasks\n"
        "def work(i):\n"
        "    Path(sys.argv[1], f'{os.getpid()}').touch()\n"
        "    time.sleep(30)\n"
        "list(run_tasks(2, 4, work, [(i,) for i in range(4)]))\n"
    ).replace("sys.argv[1]", repr(str(tmp_path)))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    parent = subprocess.Popen([sys.executable, "-c", code], env=environment)
    wait_for(lambda: len(list(tmp_path.iterdir())) == 2, 30)
    workers = [int(path.name) for path in tmp_path.iterdir()]
    parent.kill()
    parent.wait()
    wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in workers), 5)


def wait_for(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_jobs_are_checked_and_no_more_start_than_there_are_tasks(twelve, tmp_path, monkeypatch):
    for jobs in (0, -2, 10**30):
        with pytest.raises(ValueError, match="needed: 1 to 1024 processes, or -1"):
            extract_folder(twelve, tmp_path, jobs=jobs)
    started = []
    parallel = joblib.Parallel
    monkeypatch.setattr(
        joblib, "Parallel", lambda n_jobs, **_: (started.append(n_jobs), parallel(n_jobs=1, **_))[1]
    )
    extract_folder(twelve, tmp_path, jobs=1000)
    assert started == [1]


def test_a_folder_in_the_place_of_patches_is_a_failure_of_that_track(twelve, tmp_path):
    (tmp_path / "artist 0" / "00.wav.mel.npy").mkdir(parents=True)
    report = extract_folder(twelve, tmp_path)
    assert report[:3] == (11, 0, 1) and [n for n, _ in read_failed(report.report)] == [
        "artist 0/00.wav"
    ]
