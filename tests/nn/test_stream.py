"""Sets larger than memory: order, bits, memory, and what is refused."""

import dataclasses
import subprocess
import sys
import warnings

import numpy as np
import pytest

from deep_artists.artists.recipe import load_recipe
from deep_artists.artists.train import train
from deep_artists.data import mapped
from deep_artists.data.dataset import make_dataset, open_dataset
from deep_artists.data.mapped import check_finite, drop_pages, read_pieces
from deep_artists.nn import stream
from deep_artists.nn.checkpoint import Checkpoints
from deep_artists.nn.stream import Stream, open_streams
from deep_artists.reference.golden import make_dataset as make_golden

SMALL = {"batch_size": 10, "n_hidden": 8, "nkerns": 2, "n_epochs": 2, "validation_frequency": 150}


def map_file(path, x, mode="r"):
    np.save(path, x)
    return np.load(path, mmap_mode=mode)


def number_rows(path, n):
    """A mapped array whose rows hold their number."""
    return map_file(path, np.repeat(np.arange(n, dtype=np.float32)[:, None], 3, axis=1))


def read_epoch(stream, epoch, n_minibatches, first=0):
    """The rows of every minibatch of an epoch, and their labels."""
    rows, labels = [], []

    def take(i):
        some = slice(i * stream.batch_size, (i + 1) * stream.batch_size)
        if stream.order is not None:
            some = stream.order.get_value()[some]
        rows.append(stream.x.get_value()[some, 0].astype(int))
        labels.append(stream.y.get_value()[some].astype(int))

    stream.start_epoch(epoch)
    minibatch = stream.wrap(take)
    for i in range(first, n_minibatches):
        minibatch(i)
    return np.array(rows), np.array(labels)


# --- the order ---


@pytest.mark.parametrize(
    "n, batch_size, most",
    [
        (4000, 10, 4),
        (4000, 7, 3),
        (1299, 10, 9),
        (1300, 10, 1),
        (1429, 130, 2),
        (100, 10, 3),
        (140, 50, 1),
        (3000, 300, 2),
    ],
)
def test_a_shuffled_epoch_is_a_permutation_read_in_runs(tmp_path, n, batch_size, most):
    x, y = number_rows(tmp_path / "x.npy", n), np.arange(n) * 3
    stream = Stream(x, y, batch_size, most, 2, "float64", seed=5)
    epochs = [read_epoch(stream, epoch, n // batch_size) for epoch in (1, 2)]
    for rows, labels in epochs:
        np.testing.assert_array_equal(labels, 3 * rows)
        assert len(np.unique(rows)) == n // batch_size * batch_size
    assert (epochs[0][0] != epochs[1][0]).any()
    run = stream.chunk
    assert run >= 128 and run % batch_size == 0 and stream.chunks <= most
    for block in range(stream.n_blocks):
        x_block, _, order = stream.reader.submit(stream.read, 1, block).result()
        assert sorted(order) == list(range(len(x_block))) and len(order) < (most + 1) * run
        heads = x_block[::run, 0]
        assert (heads % run == 0).all()
        np.testing.assert_array_equal(
            x_block[:, 0], np.repeat(heads, run)[: len(order)] + np.arange(len(order)) % run
        )


def test_the_order_follows_from_seed_and_epoch_alone(tmp_path):
    x, y = number_rows(tmp_path / "x.npy", 2000), np.arange(2000)
    rows, _ = read_epoch(Stream(x, y, 10, 4, 1, "float32", seed=5), 3, 200)
    later = Stream(np.array(x), y, 10, 4, 3, "float32", seed=5)
    np.testing.assert_array_equal(read_epoch(later, 3, 200, first=117)[0], rows[117:])
    np.testing.assert_array_equal(read_epoch(later, 3, 200)[0], rows)
    other = Stream(x, y, 10, 4, 1, "float32", seed=6)
    assert (read_epoch(other, 3, 200)[0] != rows).any()


@pytest.mark.parametrize("n, batch_size", [(2000, 10), (1999, 7), (1000, 300)])
def test_stored_order_is_kept(tmp_path, n, batch_size):
    x = number_rows(tmp_path / "x.npy", n)
    stream = Stream(x, np.arange(n), batch_size, 2, 1, "float32")
    for _ in range(2):
        rows, _ = read_epoch(stream, 1, n // batch_size)
        np.testing.assert_array_equal(rows.ravel(), np.arange(rows.size))


@pytest.mark.parametrize("n, batch_size", [(2000, 10), (1999, 7), (100, 30)])
def test_a_range_is_divided_into_those_of_its_blocks(tmp_path, n, batch_size):
    stream = Stream(number_rows(tmp_path / "x.npy", n), np.arange(n), batch_size, 3, 1, "float32")
    first, last = 1, n // batch_size
    rows = []
    for part in stream.divide(range(first, last)):
        rows += [stream.x.get_value()[i * batch_size, 0] for i in part]
    np.testing.assert_array_equal(rows, np.arange(first, last) * batch_size)
    assert list(stream.divide(range(2, 2))) == []


def test_an_error_while_reading_ahead_is_raised(tmp_path, monkeypatch):
    x = number_rows(tmp_path / "x.npy", 1000)
    stream = Stream(x, np.arange(1000), 10, 1, 1, "float32")
    stream.locate(0)
    stream.coming[1].result()

    def fail(*_):
        raise OSError("the disk is gone")

    monkeypatch.setattr(stream, "read", fail)
    stream.locate(13)
    with pytest.raises(OSError, match="gone"):
        stream.locate(26)


# --- whole runs ---


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """61 MB of patches, memory-mapped."""
    folder, rng, sets = tmp_path_factory.mktemp("sets"), np.random.RandomState(0), []
    for name, n in (("train", 3000), ("valid", 1500), ("test", 1500)):
        x = rng.uniform(size=(n, 2560)).astype(np.float32)
        y = rng.randint(4, size=n)
        x[:, :600] *= (y % 2)[:, None]
        sets.append((map_file(folder / f"{name}.npy", x), y))
    return sets


@pytest.mark.slow
@pytest.mark.parametrize("floatX", ["float32", "float64"])
def test_stored_order_gives_the_bits_of_a_set_in_memory(sets, floatX):
    results = [
        train(sets, "page", floatX, shuffle=False, memory_mb=memory_mb, **SMALL)
        for memory_mb in (None, 45)
    ]
    a, b = results
    assert a.costs.tobytes() == b.costs.tobytes() and a.validation == b.validation
    assert a.log == b.log
    for name, value in a.model.best.items():
        assert value.tobytes() == b.model.best[name].tobytes()


def test_a_shuffled_run_repeats_and_resumes_to_the_same_bits(sets, tmp_path, monkeypatch):
    run = {"recipe": "page", "memory_mb": 45, **SMALL}
    whole = train(sets, **run)
    exact = train(sets, "page", memory_mb=1000, **SMALL)
    assert (whole.costs != exact.costs).any()
    save = Checkpoints.save

    def fail(self, functions, result):
        save(self, functions, result)
        if len(result.costs) == 450:
            raise RuntimeError("power failure")

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", fail)
        with pytest.raises(RuntimeError, match="power failure"):
            train(sets, checkpoint=tmp_path, **run)
    with pytest.raises(ValueError, match="memory_mb"):
        train(sets, checkpoint=tmp_path, **{**run, "memory_mb": 60})
    resumed = train(sets, checkpoint=tmp_path, **run)
    assert resumed.costs.tobytes() == whole.costs.tobytes() and resumed.log == whole.log
    for name, value in whole.model.last.items():
        assert value.tobytes() == resumed.model.last[name].tobytes()


MEMORY = """
import sys
import numpy as np
from deep_artists.artists.train import train

def peak_mb():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) * 1024 / 1e6

run = {"recipe": "page", "floatX": sys.argv[1], "n_epochs": 1, "n_hidden": 8, "nkerns": 1,
       "filter_shape": (64, 40), "poolsize": (1, 1), "validation_frequency": 200}
few = np.random.RandomState(0).uniform(size=(160, 2560)).astype("float32")
train([(few, np.arange(160) % 4)] * 3, memory_mb=100, **run)
before = peak_mb()
x, y = np.load(sys.argv[2], mmap_mode="r"), np.arange(50_000) % 4
result = train([(x[:30_000], y[:30_000]), (x[30_000:40_000], y[30_000:40_000]),
                (x[40_000:], y[40_000:])], memory_mb=100, checkpoint=sys.argv[3], **run)
assert len(result.costs) == 375 and result.validation
print(peak_mb() - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("floatX", ["float32", "float64"])
def test_peak_memory_is_bounded(tmp_path, floatX):
    # 512 MB, most of it holes; what is resident counts the mapped file's pages too.
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (50_000, 2560))
    x[::100, ::40] = 1
    del x
    command = [sys.executable, "-c", MEMORY, floatX, tmp_path / "x.npy", tmp_path / "checkpoint"]
    grown = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert 50 < grown < 100


# --- what is refused, and what is warned of ---


def test_memory_that_holds_no_runs_is_refused(sets):
    with pytest.raises(ValueError, match="memory_mb = 5; .* at least 43 is needed"):
        train(sets, "page", memory_mb=5, **SMALL)
    train(sets, "page", memory_mb=43, **{**SMALL, "n_epochs": 1})
    for memory_mb in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="a positive number"):
            train(sets, "page", memory_mb=memory_mb, **SMALL)


@pytest.mark.parametrize(
    "change", [np.asfortranarray, lambda x: x.astype(">f4"), lambda x: x.astype(np.int16)]
)
def test_arrays_that_cannot_be_streamed_are_refused(change):
    split = change(np.zeros((4000, 2560), "float32")), np.arange(4000) % 2
    with pytest.raises(ValueError, match="C order"):
        open_streams([split] * 3, 80, "float32", 60)


def test_a_set_that_fits_is_not_streamed(sets):
    recipe = load_recipe("page", batch_size=10)
    assert open_streams(sets, recipe.batch_size, "float32", 62) is None
    assert len(open_streams(sets, recipe.batch_size, "float32", 60)) == 3
    assert len(open_streams(sets, recipe.batch_size, "float64", 180)) == 3  # its conversion counts
    assert open_streams(sets, recipe.batch_size, "float64", 190) is None


def test_a_set_larger_than_the_machine_s_memory_is_warned_of(sets, monkeypatch):
    recipe = load_recipe("page")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_streams(sets, recipe.batch_size, "float32", None) is None
    monkeypatch.setattr(stream.os, "sysconf", lambda name: 5000)
    with pytest.warns(RuntimeWarning, match="0.0614 GB, .* 0.025 GB .*--memory"):
        open_streams(sets, recipe.batch_size, "float32", None)


def test_what_was_written_on_a_copy_of_a_file_stays(tmp_path):
    x = map_file(tmp_path / "x.npy", np.zeros((2000, 3), "float32"), mode="c")
    x[7] = 1
    for _ in read_pieces(x):
        drop_pages(x[5:])
    assert x.sum() == 3


# --- sets that vouch for themselves ---


@pytest.fixture
def made(tmp_path):
    rng = np.random.RandomState(0)
    for artist in "ab":
        (tmp_path / "patches" / artist).mkdir(parents=True)
        for i in range(5):
            x = rng.uniform(size=(20, 2560)).astype(np.float32)
            np.save(tmp_path / "patches" / artist / f"{i}.mel.npy", x)
    make_dataset(tmp_path / "patches", tmp_path / "set")
    return tmp_path / "set"


def test_a_set_is_known_by_its_content(made):
    dataset = open_dataset(made)
    read = {
        name: check_finite(getattr(dataset, name).x, name, "float32")
        for name in ("train", "valid", "test")
    }
    assert read == dataset.sha256 and len(set(read.values())) == 3
    assert read["test"] == check_finite(np.array(dataset.test.x), "test", "float32")


def test_what_was_checked_when_it_was_made_is_not_read_again(made, monkeypatch):
    dataset = open_dataset(made)
    monkeypatch.setattr(mapped, "read_pieces", None)
    train(dataset, "page", batch_size=10, n_epochs=1, n_hidden=5, checkpoint=made.parent / "c")


def test_another_split_in_its_place_is_read_and_checked(made):
    dataset = open_dataset(made)
    other = dataclasses.replace(dataset, train=(np.full((40, 2560), np.nan), np.arange(40) % 2))
    with pytest.raises(ValueError, match="train: x has values that are not finite"):
        train(other, "page", batch_size=10)


def test_a_file_that_was_changed_is_read_and_checked_again(made):
    x = np.load(made / "train_x.npy", mmap_mode="r+")
    x[3, 5] = np.nan
    x.flush()
    dataset = open_dataset(made)
    assert sorted(dataset.sha256) == ["test", "valid"]
    with pytest.raises(ValueError, match="train: x has values that are not finite, near row 0"):
        train(dataset, "page", batch_size=10)


def test_a_copied_set_goes_on_from_a_checkpoint(made, tmp_path):
    run = {"recipe": "page", "checkpoint": tmp_path / "c", **SMALL, "validation_frequency": 3}
    train(open_dataset(made), **run)
    for path in made.iterdir():
        path.write_bytes(path.read_bytes())  # other times, the same content
    copy = open_dataset(made)
    assert copy.sha256 == {} and train(copy, **run).costs.size
    golden = [(x[:50].astype("float32"), y[:50] % 2) for x, y in make_golden(300, 2)]
    with pytest.raises(ValueError, match="another run"):
        train(golden, **run)
