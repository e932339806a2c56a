"""How extraction scales: seconds, bytes and memory by track, as files and as shards.

    python bench/scale_extract.py [--tracks 60] [--tiny 3000] [--names 1000000]

Prints Markdown. The tracks are 30 s of noise, FLAC at 44.1 kHz stereo; the tiny ones half a second,
every twentieth of them no audio. Everything is measured in a process of its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def measure(code, *arguments):
    """Run code in a process; return what it prints as JSON, with its seconds and peak memory."""
    code = (
        textwrap.dedent("""
        import json, sys, time
        from pathlib import Path
        from deep_artists.data.dataset import make_dataset
        from deep_artists.data.extraction import extract_folder
        arguments, start, about = sys.argv[1:], time.perf_counter(), {}
    """)
        + textwrap.dedent(code)
        + textwrap.dedent("""
        about["seconds"] = time.perf_counter() - start
        status = Path("/proc/self/status").read_text()  # ru_maxrss counts the parent too
        about["MiB"] = int(status.partition("VmHWM:")[2].split()[0]) / 1024
        print(json.dumps(about))
    """)
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        text=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    if run.returncode:
        raise RuntimeError(run.stderr)
    return json.loads(run.stdout.splitlines()[-1])


EXTRACT = """
audio, out, jobs, shard_tracks = arguments
report = extract_folder(audio, out, jobs=int(jobs), shard_tracks=int(shard_tracks) or None)
about.update(done=report.done, reused=report.reused, failed=report.failed)
"""
DATASET = """
make_dataset(*arguments)
"""
# The parent's side alone: a million names, a task for each sixteen, and an outcome of each.
NAMES = """
from deep_artists.data import extraction
n = int(arguments[0])
extraction.iterate_files = lambda folder, suffixes, **_: (
    f"artist {i // 100}/album/track {i % 100:03}.ogg" for i in range(n))
extraction.run_task = lambda task, name, sources, *_: (
    name, len(sources) - 1, 0, [(sources[0], "none")])
extract_folder(arguments[1], arguments[2])
"""
# A set of a million tracks, of whose patches nothing is read or written.
LABELS = """
import numpy as np
from deep_artists.data import dataset
n = int(arguments[0])
class Patches:
    names = sorted(f"artist {i // 100}/album/track {i % 100:03}.ogg" for i in range(n))
    def open(self, name):
        return one, {}
one = np.zeros((1, 2560), np.float32)
dataset.open_patches = lambda folder: Patches()
dataset._write_array = lambda path, dtype, shape, parts: None
dataset.open_dataset = lambda folder: None
make_dataset("", arguments[1], group="none")
"""


def write_tracks(folder, n, n_samples, sr, channels):
    import numpy as np
    import soundfile

    rng = np.random.RandomState(0)
    y = rng.uniform(-0.5, 0.5, size=(n_samples + n, channels))
    for i in range(n):
        path = folder / f"artist {i % 4}" / f"track {i:05}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        if n_samples < sr and i % 20 == 19:
            path.write_text("no audio")
        else:
            soundfile.write(path, y[i : i + n_samples], sr)


def count_bytes(folder):
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def make_row(name, n, found, n_bytes=None):
    """Return the cells of a row."""
    size = "" if n_bytes is None else f"{n_bytes / n / 1000:.1f}"
    seconds = found["seconds"]
    return [
        name,
        str(n),
        f"{seconds:.1f}",
        f"{1000 * seconds / n:.2f}",
        size,
        f"{found['MiB']:.0f}",
    ]


def format_table(rows):
    """Return the table in Markdown."""
    names = "what,tracks,s,ms a track,kB a track on disk,peak MiB of the parent"
    lines = [names.split(","), ["---"] * 6, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def measure_all(folder, n, n_tiny, n_names):
    """Yield the rows."""
    write_tracks(folder / "audio", n, 30 * 44100, 44100, 2)
    for jobs in (1, 2):
        out = folder / f"files{jobs}"
        found = measure(EXTRACT, folder / "audio", out, jobs, 0)
        yield make_row(f"extract, files, {jobs} process(es)", n, found, count_bytes(out))
    yield make_row("again, files: all kept", n, measure(EXTRACT, folder / "audio", out, 1, 0))
    out = folder / "shards"
    found = measure(EXTRACT, folder / "audio", out, 2, 16)
    yield make_row("extract, shards of 16, 2 processes", n, found, count_bytes(out))
    yield make_row("again, shards: all kept", n, measure(EXTRACT, folder / "audio", out, 1, 16))
    for layout in ("files2", "shards"):
        made = folder / f"set {layout}"
        found = measure(DATASET, folder / layout, made)
        yield make_row(f"dataset from {layout.rstrip('2')}", n, found, count_bytes(made))
    write_tracks(folder / "tiny", n_tiny, 11025, 22050, 1)
    for name, shard_tracks in (("files", 0), ("shards", 256)):
        out = folder / f"tiny {name}"
        found = measure(EXTRACT, folder / "tiny", out, 1, shard_tracks)
        what = f"extract, tiny, {name}, {found['failed']} failed"
        yield make_row(what, n_tiny, found, count_bytes(out))
        found = measure(DATASET, out, folder / "tiny set")
        yield make_row(f"dataset from tiny {name}", n_tiny, found)
    (folder / "empty").mkdir()
    for some in (n_names // 10, n_names):
        found = measure(NAMES, some, folder / "empty", folder / "none")
        yield make_row("the parent alone: names, tasks, report", some, found)
    found = measure(LABELS, n_names, folder / "names")
    yield make_row("dataset, all but the arrays", n_names, found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tracks", type=int, default=60, help="of 30 s")
    parser.add_argument("--tiny", type=int, default=3000, help="tracks of half a second")
    parser.add_argument("--names", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        sizes = arguments.tracks, arguments.tiny, arguments.names
        for row in measure_all(Path(folder), *sizes):
            rows.append(row)
            print(" | ".join(row), file=sys.stderr, flush=True)
    print(format_table(rows))
    if arguments.json:
        from machine import describe_setup

        arguments.json.write_text(json.dumps({"rows": rows, "machine": describe_setup()}, indent=1))


if __name__ == "__main__":
    main()
