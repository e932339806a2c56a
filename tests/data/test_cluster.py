"""Extraction on a real Dask cluster: three worker processes, some of which are killed."""

import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile
from distributed import Client, LocalCluster

from deep_artists.cli import main
from deep_artists.data import cluster as cluster_module
from deep_artists.data import extraction, versions
from deep_artists.data.cluster import ClusterError, connect
from deep_artists.data.extraction import extract_folder, read_failed

# Run on the workers there are. Every extraction is recorded; the first of any process to come to
# the file "17.wav" kills its worker, amid a task, and later ones find that this was done.
DIE_ONCE = """
import os, signal
from deep_artists.data import extraction_tasks
extract_file = extraction_tasks.extract_file

def die_once(path, *more):
    with open({log!r}, "a") as file:
        file.write(path.name + "\\n")
    if path.name == "17.wav" and not os.path.exists({killed!r}):
        open({killed!r}, "x").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return extract_file(path, *more)

extraction_tasks.extract_file = die_once
"""
DIE_ALWAYS = """
import os, signal
from deep_artists.data import extraction_tasks
extraction_tasks.extract_file = lambda path, *_: os.kill(os.getpid(), signal.SIGKILL)
"""
SLEEP = """
import time
from deep_artists.data import extraction_tasks
extraction_tasks.extract_file = lambda path, *_: time.sleep(100)
"""
FORGET = "import sys; sys.modules['deep_artists.data.patches'] = None"


@contextmanager
def start_cluster(n_workers, code=""):
    """Start a cluster of processes, each of which has run the code."""
    options = dict(threads_per_worker=1, processes=True, dashboard_address=":0")
    with LocalCluster(n_workers=n_workers, **options) as cluster:
        with Client(cluster.scheduler_address, set_as_default=False) as client:
            client.wait_for_workers(n_workers, timeout=60)
            client.run(exec, code, {})
            yield cluster
            client.wait_for_workers(n_workers, timeout=60)  # one that starts is slow to close


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audio")
    rng = np.random.RandomState(0)
    for i in range(40):
        path = folder / f"artist {i % 4}" / f"{i}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, rng.uniform(-0.1, 0.1, size=11025 + 100 * i), 22050)
    (folder / "artist 1" / "bad.wav").write_text("no sound")
    return folder


def files(folder):
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.mark.parametrize("shard_tracks", [None, pytest.param(4, marks=pytest.mark.slow)])
def test_a_worker_that_is_killed_loses_nothing(audio, tmp_path, shard_tracks, monkeypatch):
    monkeypatch.setattr(extraction, "TRACKS_PER_TASK", 4)
    extract_folder(audio, tmp_path / "alone", shard_tracks=shard_tracks)
    log, killed = tmp_path / "log", tmp_path / "killed"
    with start_cluster(3, DIE_ONCE.format(log=str(log), killed=str(killed))) as cluster:
        options = dict(shard_tracks=shard_tracks, cluster=cluster.scheduler_address)
        report = extract_folder(audio, tmp_path / "out", **options)
        assert killed.exists()
        assert report.done + report.reused == 40 and report.failed == 1  # each once
        assert [name for name, _ in read_failed(report.report)] == ["artist 1/bad.wav"]
        assert files(tmp_path / "out") == files(tmp_path / "alone")
        extracted = log.read_text().split()
        assert len(extracted) >= 10  # the worker that takes the place of the killed one has no log
        if not shard_tracks:  # not even the task's other tracks are done twice
            assert len(extracted) - len(set(extracted)) <= 1
        assert extract_folder(audio, tmp_path / "out", **options)[:3] == (0, 40, 1)


def test_the_command_runs_on_a_cluster_and_keeps_few_tasks_under_way(
    audio, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(extraction, "TRACKS_PER_TASK", 1)
    iterate_files, under_way = extraction.iterate_files, [[], []]  # two passes: to count, to work

    def list_files(folder, suffixes, **options):
        for n, name in enumerate(iterate_files(folder, suffixes, **options), 1):
            under_way[0].append(n - len(list(tmp_path.rglob("*.json"))))
            if len(under_way[0]) == 41:
                under_way.reverse()
            yield name

    monkeypatch.setattr(extraction, "iterate_files", list_files)
    with start_cluster(2) as cluster:
        command = ["extract", str(audio), "--out", str(tmp_path), "--strict"]
        assert main([*command, "--cluster", cluster.scheduler_address]) == 1
    captured = capsys.readouterr()
    assert "40 tracks, 0 were there already, 1 left out" in captured.out
    assert "left out artist 1/bad.wav: " in captured.err
    assert max(under_way[1]) <= 8  # two a worker, the one that is listed, the one that fails


def test_tracks_that_kill_every_worker_end_the_run(audio, tmp_path):
    with start_cluster(1, DIE_ALWAYS) as cluster:
        cluster.scheduler.allowed_failures = 0
        with pytest.raises(ClusterError, match="1 workers died of the same tracks"):
            extract_folder(audio, tmp_path, cluster=cluster.scheduler_address)
    assert not (tmp_path / "failed.csv").exists()


@pytest.mark.slow
def test_a_cluster_that_loses_all_workers_ends_the_run(audio, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cluster_module, "TELL_AFTER_S", 0.5)
    options = dict(threads_per_worker=1, processes=True, dashboard_address=":0")
    with LocalCluster(n_workers=1, **options) as cluster:
        with Client(cluster.scheduler_address, set_as_default=False) as client:
            client.run(exec, SLEEP, {})
        threading.Timer(3, cluster.scale, [0]).start()
        start = time.monotonic()
        with pytest.raises(ClusterError, match="has had no worker for 2 s; what was done is kept"):
            extract_folder(audio, tmp_path, cluster=cluster.scheduler_address, cluster_timeout_s=2)
        assert time.monotonic() - start < 60
    assert "no worker is left; waiting 1 s for one to come" in capsys.readouterr().err
    assert [path.name for path in tmp_path.glob(".*")] == [".unfinished"]  # run again to go on


def test_a_worker_without_the_package_is_named(audio, tmp_path):
    with start_cluster(1, FORGET) as cluster:
        with pytest.raises(
            ClusterError, match="worker tcp://.* cannot extract .*the same packages"
        ):
            extract_folder(audio, tmp_path, cluster=cluster.scheduler_address)


def test_a_worker_with_another_version_is_named(audio, tmp_path, monkeypatch):
    monkeypatch.setattr(versions, "find_versions", lambda: {"librosa": "0.1"})
    with start_cluster(1) as cluster:
        with pytest.raises(
            ClusterError, match="cannot extract .it has .*'librosa'.*here is .*'0.1'"
        ):
            extract_folder(audio, tmp_path, cluster=cluster.scheduler_address)


def test_a_cluster_without_workers():
    with LocalCluster(n_workers=0, dashboard_address=":0") as empty:
        with pytest.raises(
            ClusterError, match="has no worker; start one a core with 'dask worker tcp://"
        ):
            with connect(empty.scheduler_address, timeout_s=0.5):
                pass


# In a process of its own: a client that could not connect stops the next cluster of a process if it
# happens to be collected while that starts (distributed 2026.8).
@pytest.mark.parametrize(
    "code, words",
    [
        ("", "tcp://127.0.0.1:{port}: no Dask scheduler answers within 0.5 s; start one"),
        ("sys.modules['distributed'] = None", "pip install 'deep_artists[cluster]'"),
    ],
)
def test_clusters_that_cannot_be_used(audio, tmp_path, code, words):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # not listening
        port = unused.getsockname()[1]
        code = (
            f"import sys; {code}\nfrom deep_artists.data import cluster\n"
            "from deep_artists.cli import main\n"
            "cluster.connect.__wrapped__.__defaults__ = (0.5, 600)\nsys.exit(main(sys.argv[1:]))\n"
        )
        command = ["extract", str(audio), "--out", str(tmp_path)]
        command += ["--cluster", f"tcp://127.0.0.1:{port}"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        run = subprocess.run(
            [sys.executable, "-c", code, *command], env=environment, text=True, capture_output=True
        )
    assert run.returncode == 2 and words.format(port=port) in run.stderr
