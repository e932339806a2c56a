"""Arrays in files: whole ones are read, all others are one error, at no cost in memory."""

import io
import os
import tracemalloc
import zipfile

import numpy as np
import pytest

from deep_artists.data.arrays import map_array, map_rows, open_npz
from deep_artists.data.files import DamagedFileError


def npy(header, data=b"", magic=b"\x93NUMPY\x01\x00"):
    header = header.encode()
    return magic + len(header).to_bytes(2, "little") + header + data


def describe(shape, descr="'<f4'"):
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n"


def zipped(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return file.getvalue()


DAMAGED = {
    "nothing": b"",
    "text": b"no array",
    "zip": zipped(a=npy(describe("(1,)"), bytes(4))),
    "short": npy(describe("(2,)"), bytes(4)),
    "absurd": npy(describe("(10**30, 2)"), bytes(8)),
    "huge": npy(describe((2**62, 4)), bytes(8)),
    "negative": npy(describe((-1, -2)), bytes(8)),
    "one negative": npy(describe((-1,)), bytes(8)),
    "object": npy(describe((1,), "'|O'"), bytes(8)),
    "no tuple": npy(describe("3"), bytes(12)),
    "no dtype": npy(describe((1,), "'<q9'"), bytes(9)),
    "deep": npy("(" * 5000 + "\n"),
    "no header": npy("os.system('true')\n"),
    "version": npy(describe((1,)), bytes(4), magic=b"\x93NUMPY\x09\x00"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_arrays_are_one_error(tmp_path, name):
    path = tmp_path / "a.npy"
    path.write_bytes(DAMAGED[name])
    with pytest.raises(DamagedFileError, match="a.npy: is damaged"):
        map_array(path)
    if name != "zip":
        path = tmp_path / "a.npz"
        path.write_bytes(zipped(a=DAMAGED[name]))
        with pytest.raises(DamagedFileError, match="a.npz: is damaged"), open_npz(path):
            pass


def test_whole_arrays_are_read(tmp_path):
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.save(tmp_path / "a.npy", x)
    np.testing.assert_array_equal(map_rows(tmp_path / "a.npy", np.float32, (4,)), x)
    with pytest.raises(ValueError, match=r"holds float32 \(3, 4\)") as error:
        map_rows(tmp_path / "a.npy", np.float32, (5,))
    assert not isinstance(error.value, DamagedFileError)
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", x=x, order=np.asfortranarray(x), none=x[:0], text=np.array("é"))
        with open_npz(tmp_path / "a.npz") as file:
            assert file.headers["x"] == (np.dtype("float32"), (3, 4))
            np.testing.assert_array_equal(file.read("x"), x)
            np.testing.assert_array_equal(file.read("order"), x)
            assert file.read("none").shape == (0, 4) and file.read_text("text") == "é"
            for call in (lambda: file.read("y"), lambda: file.read_text("x")):
                with pytest.raises(DamagedFileError, match="a.npz: is damaged, has no"):
                    call()
            with pytest.raises(DamagedFileError, match="has an array 'order'"):
                file.check_names({"x"})


def test_every_truncation_and_flipped_byte_is_one_error_or_none(tmp_path):
    path, rng = tmp_path / "a.npz", np.random.RandomState(0)
    np.savez(path, x=np.arange(6.0), text=np.array("abc"))
    data = path.read_bytes()
    damaged = [data[:n] for n in range(0, len(data), 7)]
    for _ in range(500):
        some = bytearray(data)
        some[rng.randint(len(data))] = rng.randint(256)
        damaged.append(bytes(some))
    n_refused = 0
    for some in damaged:
        path.write_bytes(some)
        try:
            with open_npz(path) as file:
                for name in file.headers:
                    file.read(name)
        except DamagedFileError:
            n_refused += 1
    assert n_refused > len(damaged) / 3


def test_a_bomb_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.zeros(50_000_000, np.uint8))
    tracemalloc.start()
    with pytest.raises(DamagedFileError, match="unpacks to 500001"), open_npz(path):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.npy")
    with pytest.raises(DamagedFileError, match="no regular file"):
        map_array(tmp_path / "pipe.npy")
    with pytest.raises(FileNotFoundError):
        map_array(tmp_path / "missing.npy")
