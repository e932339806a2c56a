"""Pickles of 2013: the real ones to the last bit, hostile ones refused, damaged ones survived.

Hostile pickles are written here opcode by opcode, as an attacker would.
"""

import copyreg
import gzip
import pickle
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from deep_artists.data.legacy import LegacyPickleError, _Reader, load_dataset, load_model
from deep_artists.reference import golden

SHARED = b"theano.tensor.sharedvar\nTensorSharedVariable"
CONTAINER = b"theano.gof.link\nContainer"
CONV = b"convolutional_mlp\nLeNetConvPoolLayer"
HIDDEN = b"mlp\nHiddenLayer"
SOFTMAX = b"logistic_sgd\nLogisticRegression"
NEW_ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
F8 = b"cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"
CONV_OF_2 = (CONV, np.ones((2, 1, 3, 3)), np.ones(2))
HIDDEN_OF_3 = (HIDDEN, np.ones((2, 3)), np.ones(3))
RECORDINGS = ["model_output.pkl", "notebook_model_output.pkl", "dataset.pkl"]


def string(data):
    return b"S" + repr(data)[1:].encode() + b"\n"


def array(values):
    """Write an array as NumPy did under Python 2, protocol 0."""
    values = np.asarray(values)
    is_fortran = values.flags.fnc
    shape = b"".join(b"I%d\n" % n for n in values.shape)
    order, code = values.dtype.str[:1].encode(), values.dtype.str[1:].encode()
    dtype = F8.replace(b"f8", code).replace(b"<", order)
    data = string(values.tobytes("F" if is_fortran else "C"))
    return NEW_ARRAY + b"(I1\n(" + shape + b"t" + dtype + b"I0%d\n" % is_fortran + data + b"tb"


def record(name, state):
    return b"ccopy_reg\n_reconstructor\n(c" + name + b"\nc__builtin__\nobject\nNtR" + state + b"b"


def shared(values):
    storage = b"(dS'storage'\n(l" + array(values) + b"as"
    return record(SHARED, b"(dS'container'\n" + record(CONTAINER, storage) + b"s")


def model(**layers):
    """Write a model of layers key=(class, W, b)."""
    items = [
        string(key.encode()) + record(name, b"(" + shared(W) + shared(b) + b"t") + b"s"
        for key, (name, W, b) in layers.items()
    ]
    return b"(d" + b"".join(items) + b"."


def dataset(*pairs):
    return b"(l" + b"".join(b"(" + array(x) + array(y) + b"ta" for x, y in pairs) + b"."


def pairs(n=2):
    rng = np.random.RandomState(0)
    return [(rng.uniform(size=(n, 2560)).astype(np.float32), np.arange(n)) for _ in range(3)]


def load(load_function, tmp_path, data, **options):
    path = tmp_path / "old.pkl"
    path.write_bytes(data)
    return load_function(path, **options)


def refuse(tmp_path, data, match=None):
    """Both readers refuse the bytes, and need little memory for it."""
    path = tmp_path / "old.pkl"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        for load_function in (load_model, load_dataset):
            with pytest.raises(LegacyPickleError, match=match):
                load_function(path)
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()


def assert_same(values, expected):
    assert values.dtype == expected.dtype and values.shape == expected.shape
    assert values.tobytes() == expected.tobytes()
    assert values.flags.c_contiguous and values.flags.writeable and values.dtype.isnative


@pytest.mark.parametrize(
    "name, keys",
    [("model_output.pkl", ["conv"]), ("notebook_model_output.pkl", ["conv", "hidden", "softmax"])],
)
def test_model_is_the_recorded_run(name, keys):
    run = golden.load("program/last-float64.npz")
    arrays = load_model(golden.path(f"legacy/{name}"))
    assert list(arrays) == [f"{key}_{letter}" for key in keys for letter in "Wb"]
    for key, values in arrays.items():
        assert_same(values, run[f"{key}_after400"])


def test_dataset_follows_its_rule():
    datasets = load_dataset(golden.path("legacy/dataset.pkl"))
    assert len(datasets) == 3
    for (x, y), (x_made, y_made) in zip(datasets, golden.make_dataset(2013, 20)):
        assert_same(x, x_made[:6])
        assert_same(y, y_made[:6])


@pytest.mark.parametrize("name", RECORDINGS)
def test_gzip_is_told_by_its_bytes(tmp_path, name):
    load_function = load_dataset if name == "dataset.pkl" else load_model
    plain = golden.path(f"legacy/{name}").read_bytes()
    packed = load(load_function, tmp_path, gzip.compress(plain))  # named .pkl all the same
    expected = load_function(golden.path(f"legacy/{name}"))
    if load_function is load_model:
        packed, expected = [packed.items()], [expected.items()]
    for some, others in zip(packed, expected):
        for a, b in zip(some, others):
            np.testing.assert_equal(a, b)


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8"])
def test_model_of_either_precision_and_byte_order(tmp_path, dtype):
    rng = np.random.RandomState(1)
    W, b = rng.normal(size=(3, 1, 4, 5)).astype(dtype), rng.normal(size=3).astype(dtype)
    arrays = load(load_model, tmp_path, model(l0=(CONV, W, b)))
    assert_same(arrays["conv_W"], W.astype(dtype[1:]))
    assert_same(arrays["conv_b"], b.astype(dtype[1:]))


def test_fortran_order_becomes_c_order(tmp_path):
    datasets = pairs()
    written = dataset(*((np.asfortranarray(x), y) for x, y in datasets))
    assert written.count(b"I01\n") == 3
    for (x, y), (x_read, y_read) in zip(datasets, load(load_dataset, tmp_path, written)):
        assert_same(x_read, x)
        assert_same(y_read, y)


def test_import_needs_nothing_of_theano_or_pytensor():
    code = (
        "import sys, deep_artists.data.legacy; print({'theano', 'pytensor'} & sys.modules.keys())"
    )
    root = Path(golden.__file__).parents[1]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert run.stdout == "set()\n"


def test_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "none.pkl")


@pytest.mark.parametrize(
    "asked",
    [
        "posix.system",
        "os.system",
        "subprocess.Popen",
        "__builtin__.eval",
        "__builtin__.getattr",
        "builtins.object",
        "copy_reg.add_extension",
        "_codecs.encode",
        "numpy.load",
        "numpy.core.multiarray.scalar",
        "numpy.core.multiarray._reconstruct.__globals__",
        "theano.gof.cmodule.gcc_module_compile_str",
        "__main__.Unknown",
        "mlp.MLP",
    ],
)
@pytest.mark.parametrize("opcode", ["c", "i"])
def test_other_names_are_refused_and_do_not_run(tmp_path, asked, opcode):
    mark = tmp_path / "mark"
    module, name = asked.rsplit(".", 1)
    what = f"{module}\n{name}\n".encode()
    argument = string(f"touch {mark}".encode())
    calls = {"c": b"c" + what + b"(" + argument + b"tR.", "i": b"(" + argument + b"i" + what + b"."}
    refuse(tmp_path, calls[opcode], f"refused: the pickle asks for {asked}$")
    assert not mark.exists()


def test_refused_name_cannot_write_to_the_terminal(tmp_path):
    with pytest.raises(LegacyPickleError) as caught:
        load(load_model, tmp_path, b"c\x1b[2J\nsys\xe2\x80\xaetem\n.")
    assert str(caught.value).isascii() and str(caught.value).isprintable()


def test_a_name_inside_a_genuine_model_is_refused(tmp_path):
    genuine = golden.path("legacy/model_output.pkl").read_bytes()
    hidden = genuine.replace(b"theano.gof.utils\nscratchpad", b"posix\nsystem", 1)
    refuse(tmp_path, hidden, "asks for posix.system")


def test_opcodes_of_other_protocols_are_refused(tmp_path):
    known = b"NILFSV(tldapgcisRb."
    assert _Reader.dispatch.keys() == set(known)
    genuine = golden.path("legacy/model_output.pkl").read_bytes()[:-1]
    for code in set(range(256)) - set(known):
        with pytest.raises(LegacyPickleError, match="no pickle of protocol 0"):
            load(load_model, tmp_path, genuine + bytes([code]) + b"\xff\xff\xff\x7f\n.")


@pytest.mark.parametrize("protocol", [1, 2, 3, 4, 5])
def test_pickles_of_other_protocols_are_refused(tmp_path, protocol):
    refuse(tmp_path, pickle.dumps(pairs(), protocol), "no pickle of protocol 0")


@pytest.mark.parametrize(
    "claim",
    [
        b"\x8b\xff\xff\xff\x7f",  # LONG4
        b"X\xff\xff\xff\x7f",  # BINUNICODE
        b"\x8d\xff\xff\xff\xff\xff\x00\x00\x00",  # BINUNICODE8
        b"\x96\xff\xff\xff\xff\xff\x00\x00\x00",  # BYTEARRAY8
        b"\x95\xff\xff\xff\xff\xff\x00\x00\x00",  # FRAME
        b"Nr\xff\xff\xff\x7f",  # LONG_BINPUT
        b"Pid\n",  # PERSID
        b"NQ",  # BINPERSID
        b"g999999999999\n",  # GET
        b"p999999999999\n",  # PUT of nothing
        b"I" + b"9" * 5000 + b"\n",
        b"L0x" + b"f" * 5000 + b"L\n",
        b"V" + b"a" * 5000 + b"\n",
    ],
)
def test_huge_claims_and_persistent_ids_are_refused(tmp_path, claim):
    refuse(tmp_path, claim + b".", "over 1024 bytes|no pickle of protocol 0")


def test_registered_extension_codes_are_not_looked_up(tmp_path):
    copyreg.add_extension("posix", "system", 240)
    try:
        refuse(tmp_path, b"\x82\xf0(S'true'\ntR.", "no pickle of protocol 0")
    finally:
        copyreg.remove_extension("posix", "system", 240)


@pytest.mark.parametrize(
    "call",
    [
        b"ccopy_reg\n_reconstructor\n(c__builtin__\nobject\nS'a'\nNtR",
        b"ccopy_reg\n_reconstructor\n(cmlp\nHiddenLayer\ncnumpy\nndarray\n(I1\nttR",
        b"ccopy_reg\n_reconstructor\n(tR",
        b"ccopy_reg\n_reconstructor\nNR",
        b"cnumpy\nndarray\n((I999999999999\nttR",
        b"cnumpy\nndarray\n((I9\ntNNtR",
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I999999999999\ntS'b'\ntR",
        b"cnumpy.core.multiarray\n_reconstruct\n(cmlp\nHiddenLayer\n(I0\ntS'b'\ntR",
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'O'\ntR",
        b"cnumpy\ndtype\n(S'O'\nI0\nI1\ntR",
        b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR",
        b"cnumpy\ndtype\n(S'f8'\nI1\nI0\ntR",
        b"cnumpy\ndtype\n(S'V999999999'\nI0\nI1\ntR",
        b"cnumpy\ndtype\n(S'(99999,99999)f8'\nI0\nI1\ntR",
        b"cnumpy\ndtype\n((dS'names'\n(lsI0\nI1\ntR",
        b"cmlp\nHiddenLayer\n(NNNtR",
        b"c__builtin__\nobject\n(NNNtR",
        b"(I1\nicnumpy\nndarray\n",
        b"(I1\nimlp\nHiddenLayer\n",
        b"S'a'\n(NNNtR",
        b"(d(NNNtR",
        b"NNR",
        F8[:-1] + b"N(tR",
    ],
)
def test_known_names_take_only_the_arguments_of_2013(tmp_path, call):
    refuse(tmp_path, call + b".", "refused|no pickle of protocol 0")


@pytest.mark.parametrize(
    "state",
    [
        b"(I1\n(I999999999\nI999999999\nt" + F8 + b"I00\nS'abcdefgh'\nt",  # huge shape
        b"(I1\n(I-1\nI-1\nt" + F8 + b"I00\nS'abcdefgh'\nt",
        b"(I1\n(I0\nt" + F8 + b"I00\nS''\nt",
        b"(I1\n(I01\nt" + F8 + b"I00\nS'abcdefgh'\nt",  # True as a length
        b"(I1\n(t" + F8 + b"I00\nS'abcdefgh'\nt",
        b"(I1\n(" + b"I1\n" * 99 + b"t" + F8 + b"I00\nS'abcdefgh'\nt",
        b"(I1\n(I1\nt" + F8 + b"I00\nS'abcdefg'\nt",  # one byte short
        b"(I1\n(I1\nt" + F8 + b"I00\nS'abcdefghi'\nt",
        b"(I1\n(I1\nt" + F8 + b"I00\nVabcdefgh\nt",
        b"(I1\n(I1\nt" + F8 + b"I00\n(lS'abcdefgh'\nat",
        b"(I1\n(I1\nt" + F8 + b"I5\nS'abcdefgh'\nt",
        b"(I1\n(I1\ntS'f8'\nI00\nS'abcdefgh'\nt",
        b"(I1\n(I1\ntcnumpy\ndtype\nI00\nS'abcdefgh'\nt",
        b"(I1\n(I1\nt" + F8.replace(b"I-1\nI0\n", b"I-1\nI63\n") + b"I00\nS'abcdefgh'\nt",
        b"(I1\n(I1\nt" + F8.replace(b"<", b"|") + b"I00\nS'abcdefgh'\nt",
        b"(I1\n(I1\nt" + F8.replace(b"NNN", b"N(S'a'\nt(dt") + b"I00\nS'abcdefgh'\nt",
        b"(I0\n(I1\nt" + F8 + b"I00\nS'abcdefgh'\nt",
        b"(dS'__class__'\nNs",
        b"N",
        b"S'abcde'\n",
    ],
)
def test_array_states_must_agree_with_themselves(tmp_path, state):
    refuse(tmp_path, NEW_ARRAY + state + b"b.", "an array|a dtype")


@pytest.mark.parametrize(
    "attack",
    [
        b"cmlp\nHiddenLayer\n(N(dS'__setstate__'\nS'x'\nstb",  # BUILD with a slot state
        b"cnumpy\ndtype\n(dS'newbyteorder'\nNsb",
        b"ccopy_reg\n_reconstructor\n(dS'name'\nS'posix.system'\nsb(S'true'\nNNtR",
        record(HIDDEN, b"(dS'__class__'\ncnumpy\nndarray\nsS'__reduce__'\nNs"),
        record(HIDDEN, b"(N(dS'__class__'\ncnumpy\nndarray\nst"),
        b"(d(dS'__class__'\nNsb",
        b"(l(dS'append'\nNsb",
        b"S'a'\nNb",
        b"NNa",
        b"(tNa",
        b"cmlp\nHiddenLayer\nNa",
        b"cmlp\nHiddenLayer\nS'name'\nNs",
    ],
)
def test_nothing_can_be_altered(tmp_path, attack):
    refuse(tmp_path, attack + b".")
    test_model_is_the_recorded_run("model_output.pkl", ["conv"])


def test_layers_are_data_whatever_their_attributes_are_called(tmp_path):
    extra = b"(dS'__class__'\ncnumpy\nndarray\nsS'__reduce__'\nS'x'\nsS'container'\n"
    data = model(l0=CONV_OF_2)
    arrays = load(load_model, tmp_path, data.replace(b"(dS'container'\n", extra))
    assert type(arrays["conv_W"]) is np.ndarray and set(arrays) == {"conv_W", "conv_b"}


@pytest.mark.parametrize(
    "bomb",
    [
        b"(lp1\ng1\na.",  # a list within itself
        b"(dp1\nS'l0'\ng1\ns.",
        record(HIDDEN, b"(lp1\ng1\na") + b".",
        b"(" * 4900 + b"t" * 4900 + b".",  # deep
        b"(l" * 3000 + b"a" * 2999 + b".",
        b"(d" + b"S'l0'\n(d" * 2000 + b"s" * 2000 + b".",
        b"cmlp\nHiddenLayer\n" * 3000 + b"b" * 2999 + b".",
        b"(d" + b"(" * 4900 + b"t" * 4900 + b"Ns.",  # a deep key, to be hashed
        b"(tp0\n" + b"(g0\ng0\ntp0\n" * 1000 + b".",  # doubles a thousand times
        b"(d(tp0\n" + b"(g0\ng0\ntp0\n" * 1000 + b"Ns.",
        b"(dS'l0'\n(tp0\n" + b"(g0\ng0\ntp0\n" * 1000 + b"s.",
        NEW_ARRAY + b"(tp0\n" + b"(g0\ng0\ntp0\n" * 1000 + b"b.",
        b"N" * 10**6,
        b"(" * 10**6,
        b"(dS'l0'\nNs" * 10**4,
    ],
    ids=range(15),
)
def test_cycles_depth_and_doubling_are_refused(tmp_path, bomb):
    refuse(tmp_path, bomb)


def test_put_at_a_huge_index_costs_nothing(tmp_path):
    refuse(tmp_path, b"(dp999999999999\n.", "a model is|a set is")


def test_one_string_cannot_become_many_arrays(tmp_path):
    size = 2**17
    build = NEW_ARRAY + b"(I1\n(I%d\nt" % size + F8 + b"I00\ng0\ntb"
    data = b"(l" + string(b"a" * 8 * size) + b"p0\na" + (build + b"a") * 100 + b"."
    refuse(tmp_path, data, "exceed what was read")


def test_gzip_bomb_stops_at_max_bytes(tmp_path):
    path = tmp_path / "bomb.pkl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"S'" + bytes(64 * 10**6) + b"'\n.")
    assert path.stat().st_size < 10**6
    tracemalloc.start()
    try:
        with pytest.raises(LegacyPickleError, match="max_bytes = 1000000 "):
            load_dataset(path, max_bytes=10**6)
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()


def test_max_bytes_may_be_the_size_of_the_file(tmp_path):
    data = model(l0=CONV_OF_2)
    assert load(load_model, tmp_path, data, max_bytes=len(data))
    with pytest.raises(LegacyPickleError, match="max_bytes = 1000 "):
        load(load_model, tmp_path, data, max_bytes=1000)


@pytest.mark.parametrize(
    "layers, match",
    [
        ({"l0": (CONV, np.ones((2, 3, 3)), np.ones(2))}, "W of l0"),
        ({"l0": (CONV, np.ones((2, 1, 3, 3)), np.ones(3))}, "fit together"),
        ({"l0": (CONV, np.ones((2, 2, 3, 3)), np.ones(2))}, "fit together"),
        ({"l0": (CONV, np.ones((2, 1, 3, 3)), np.ones((2, 1)))}, "b of l0"),
        ({"l0": (CONV, np.full((2, 1, 3, 3), np.nan), np.ones(2))}, "NaN"),
        ({"l0": (CONV, np.ones((2, 1, 3, 3)), np.array([1, np.inf]))}, "b of l0 holds NaN or inf"),
        ({"l0": (CONV, np.ones((2, 1, 3, 3), int), np.ones(2))}, "W of l0 is int64"),
        ({"l0": (CONV, np.ones((2, 1, 3, 3), "f4"), np.ones(2))}, "dtype"),
        ({"l0": (HIDDEN, np.ones((2, 1, 3, 3)), np.ones(2))}, "LeNetConvPoolLayer"),
        ({"l1": (HIDDEN, np.ones((2, 3)), np.ones(3))}, "layers l0, l2 and l3"),
        ({"l2": (HIDDEN, np.ones((2, 3)), np.ones(2))}, "fit together"),
        ({"l3": (SOFTMAX, np.ones((2, 3)), np.ones(2))}, "fit together"),
        ({"l0": CONV_OF_2, "l2": (HIDDEN, np.ones((3, 4)), np.ones(4))}, "fit together"),
        ({"l2": HIDDEN_OF_3, "l3": (SOFTMAX, np.ones((6, 4)), np.ones(4))}, "fit together"),
    ],
)
def test_models_that_make_no_sense_are_refused(tmp_path, layers, match):
    with pytest.raises(LegacyPickleError, match=match):
        load(load_model, tmp_path, model(**layers))


@pytest.mark.parametrize(
    "data",
    [
        b"(d.",
        b"(l.",
        b"N.",
        b"(dS'l0'\nNs.",
        b"(dS'l0'\n" + record(CONV, b"(NNt") + b"s.",
        b"(dS'l0'\n" + record(CONV, b"(t") + b"s.",
        b"(dS'l0'\n" + record(CONV, b"(d") + b"s.",
        b"(dS'l0'\n" + record(CONV, b"(" + 2 * record(SHARED, b"(d") + b"t") + b"s.",
        model(l0=(CONV, np.ones((1, 1, 1, 1)), np.ones(1))).replace(b"as", b"aNas"),
    ],
)
def test_incomplete_models_are_refused(tmp_path, data):
    with pytest.raises(LegacyPickleError, match="l0|layers"):
        load(load_model, tmp_path, data)


def test_some_layers_alone_are_a_model(tmp_path):
    data = model(l3=(SOFTMAX, np.ones((6, 4)), np.ones(4)), l0=CONV_OF_2)
    assert list(load(load_model, tmp_path, data)) == ["conv_W", "conv_b", "softmax_W", "softmax_b"]


@pytest.mark.parametrize(
    "part, x, y, match",
    [
        ("train", np.ones((2, 2560)), np.arange(2), "x of train is float64"),
        ("valid", np.ones((2, 2559), "f4"), np.arange(2), r"valid has x \(2, 2559\)"),
        ("test", np.ones((3, 2560), "f4"), np.arange(2), r"test has x \(3, 2560\)"),
        ("test", np.ones((2, 64, 40), "f4"), np.arange(2), "x of test"),
        ("train", np.full((2, 2560), np.nan, "f4"), np.arange(2), "x of train holds NaN"),
        ("valid", np.ones((2, 2560), "f4"), np.ones(2), "y of valid is float64"),
        ("valid", np.ones((2, 2560), "f4"), np.array([0, -1]), "negative label"),
        ("valid", np.ones((2, 2560), "f4"), np.ones((2, 1), int), "y of valid"),
    ],
)
def test_sets_that_make_no_sense_are_refused(tmp_path, part, x, y, match):
    datasets = pairs()
    datasets[["train", "valid", "test"].index(part)] = (x, y)
    with pytest.raises(LegacyPickleError, match=match):
        load(load_dataset, tmp_path, dataset(*datasets))


@pytest.mark.parametrize(
    "data, match",
    [
        (dataset(*pairs()[:2]), "list of three"),
        (b"(d.", "list of three"),
        (b"(l(NNtaNaNa.", "x of train"),
        (b"(lNaNaNa.", "train is no pair"),
        (b"(S'a'\nNd.", "one by one"),
        (b"(l(" + array(np.ones((1, 2560), "f4")) + b"S'a'\ntaNaNa.", "y of train"),
        (dataset(*pairs()) + b".", "follows the end"),
    ],
)
def test_other_structures_are_no_set(tmp_path, data, match):
    with pytest.raises(LegacyPickleError, match=match):
        load(load_dataset, tmp_path, data)


def survive(tmp_path, name, data):
    """Whatever the bytes are, valid arrays or LegacyPickleError come out; True if arrays did."""
    path = tmp_path / "damaged.pkl"
    path.write_bytes(data)
    try:
        if name == "dataset.pkl":
            arrays = [values for pair in load_dataset(path) for values in pair]
        else:
            arrays = load_model(path).values()
    except LegacyPickleError as error:
        assert str(error).startswith(str(path)) and len(str(error)) < 2000
        return False
    assert all(type(values) is np.ndarray and np.isfinite(values).all() for values in arrays)
    return True


@pytest.mark.filterwarnings("ignore:.*invalid:DeprecationWarning")
@pytest.mark.parametrize("name", RECORDINGS)
def test_damaged_files_give_arrays_or_the_error(tmp_path, name):
    data = golden.path(f"legacy/{name}").read_bytes()
    # Most bytes are array data; aim every second hit at the structure, the short lines.
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    lengths = np.diff(ends, prepend=-1)
    lines = [np.arange(e - n + 1, e + 1) for e, n in zip(ends, lengths) if n < 99]
    structure = np.concatenate(lines)
    rng = np.random.RandomState(2013)
    survived = 0
    for i in range(200):
        damaged = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            at = rng.choice(structure) if i % 2 else rng.randint(len(data))
            damaged[at] = rng.randint(256)
        survived += survive(tmp_path, name, damaged)
    assert 0 < survived < 200


@pytest.mark.parametrize("name", RECORDINGS)
def test_files_cut_short_are_refused(tmp_path, name):
    data = golden.path(f"legacy/{name}").read_bytes()
    rng = np.random.RandomState(2013)
    for n in [0, 1, 2, len(data) - 1, *rng.randint(len(data), size=60)]:
        assert not survive(tmp_path, name, data[:n])


def test_every_truncation_of_a_small_model_is_refused(tmp_path):
    data = model(l0=(CONV, np.ones((1, 1, 2, 2)), np.ones(1)))
    assert survive(tmp_path, "model", data)
    assert not any(survive(tmp_path, "model", data[:n]) for n in range(len(data)))


@pytest.mark.filterwarnings("ignore:.*invalid:DeprecationWarning")
def test_damaged_gzip_is_refused(tmp_path):
    data = gzip.compress(golden.path("legacy/model_output.pkl").read_bytes())
    rng = np.random.RandomState(2013)
    for n in rng.randint(len(data), size=40):
        assert not survive(tmp_path, "model", data[:n])
    for at in rng.randint(10, len(data), size=100):  # past the header, which holds a time
        damaged = bytearray(data)
        damaged[at] ^= 1 << rng.randint(8)
        assert not survive(tmp_path, "model", damaged)


def test_noise_is_refused(tmp_path):
    rng = np.random.RandomState(2013)
    for n in rng.randint(200, size=200):
        assert not survive(tmp_path, "model", rng.bytes(n))
