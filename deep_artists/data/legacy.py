"""Read the pickles of 2013, running none of what is in them.

The files are Python 2 pickles of protocol 0, plain or gzip (the first bytes tell, not the name). A
set is ``[train, valid, test]`` of (x, y); a model is ``{'l0': layer}``, or l0, l2 and l3 from the
notebook, whose layers hold Theano shared variables. Neither Theano nor PyTensor is needed.

A pickle is a program for a small stack machine, and loading one with `pickle` runs it. Here:

- Only those opcodes of protocol 0 exist that the files of 2013 use.
- GLOBAL and INST import nothing: a class or callable on a short list becomes a `_Record` of its
  name, any other is refused by name. REDUCE calls nothing: it knows three names, each with the
  arguments written in 2013. BUILD only stores a state in a `_Record`, which has no methods. So
  no value of the file is ever called, and none can set an attribute.
- Keys are strings, and no container is walked, compared, hashed or printed. So cycles, and
  structures that double at every level, do no harm.
- Memory grows with the bytes read, never with a length that the file claims: decompressed bytes,
  opcodes and short lines are bounded, and the arrays together may not exceed the bytes read.
"""

import codecs
import gzip
import math
import pickle
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

_MAX_OPCODES = 10_000  # the notebook's model, the largest of 2013, has 807
_MAX_LINE = 1024  # bytes of every argument but STRING's, which carry the arrays

_LAYERS = {  # key in the pickle: name of its arrays here, its class in program and notebook
    "l0": ("conv", "convolutional_mlp.LeNetConvPoolLayer", "__main__.LeNetConvPoolLayer"),
    "l2": ("hidden", "mlp.HiddenLayer", "__main__.HiddenLayer"),
    "l3": ("softmax", "logistic_sgd.LogisticRegression", "__main__.LogisticRegression"),
}
_SHARED, _CONTAINER = "theano.tensor.sharedvar.TensorSharedVariable", "theano.gof.link.Container"
_NAMES = {_SHARED, _CONTAINER, "theano.tensor.basic.TensorType", "theano.gof.utils.scratchpad"}
_NAMES.update(name for _, *classes in _LAYERS.values() for name in classes)
_NAMES |= {"copy_reg._reconstructor", "__builtin__.object"}
_NAMES |= {"numpy.core.multiarray._reconstruct", "numpy.ndarray", "numpy.dtype"}


class LegacyPickleError(ValueError):
    """A file that is no pickle of 2013, is damaged, or asks for something that is refused."""


def _need(condition, message):
    if not condition:
        raise LegacyPickleError(message)


@dataclass(eq=False, slots=True)
class _Record:
    """What stands for a class, callable or object of the pickle: its name, and its state."""

    name: str
    state: object = None


class _Lines:
    """The decompressed stream, bounded in bytes, opcodes and short lines."""

    def __init__(self, stream, max_bytes):
        self.stream, self.max_bytes, self.n_bytes, self.n_opcodes = stream, max_bytes, 0, 0

    def read(self, size):
        self.n_opcodes += 1  # in protocol 0 only opcodes are read by number of bytes
        _need(self.n_opcodes <= _MAX_OPCODES, f"it has more than {_MAX_OPCODES} opcodes")
        return self.stream.read(size)

    def readline(self, longest=_MAX_LINE):
        line = self.stream.readline(min(longest, self.max_bytes - self.n_bytes))
        self.n_bytes += len(line)
        _need(
            line.endswith(b"\n"),
            f"it is cut short, exceeds max_bytes = {self.max_bytes} when unpacked, "
            f"or has a number or name of over {_MAX_LINE} bytes",
        )
        return line


class _Reader(pickle._Unpickler):
    # The Python class, not the C one: its opcodes can be taken away, and a PUT at a huge index
    # fills one entry of a dict where the C class allocates a table of that length.

    def __init__(self, lines):
        super().__init__(lines)
        self.lines, self.n_array_bytes = lines, 0

    def find_class(self, module, name):
        name = f"{module}.{name}"
        _need(name in _NAMES, f"refused: the pickle asks for {ascii(name)[1:-1]}")
        return _Record(name)

    def _instantiate(self, klass, args):  # INST
        _need(not args, f"refused: the pickle calls {klass.name} with arguments")
        self.append(klass)

    def load_string(self):
        line = memoryview(self.lines.readline(self.lines.max_bytes))
        _need(len(line) > 2 and line[0] == line[-2] and line[0] in b"'\"", "a string lacks quotes")
        self.append(codecs.escape_decode(line[1:-2])[0])  # Python 2 str: bytes

    def load_dict(self):
        _need(not self.pop_mark(), "a dict is not filled one by one")
        self.append({})

    def load_setitem(self):
        value, key, target = self.stack.pop(), self.stack.pop(), self.stack[-1]
        _need(type(target) is dict and type(key) is bytes, "a dict has a key that is no string")
        target[key.decode("latin-1")] = value

    def load_reduce(self):
        args, func = self.stack.pop(), self.stack.pop()
        _need(type(func) is _Record, f"refused: the pickle calls a {type(func).__name__}")
        refused = f"refused: the pickle calls {func.name} with arguments not written in 2013"
        _need(type(args) is tuple and len(args) == 3, refused)
        names = [arg.name if type(arg) is _Record else None for arg in args]
        if func.name == "copy_reg._reconstructor":
            _need(names[0] and names[1] == "__builtin__.object" and args[2] is None, refused)
            self.append(_Record(names[0]))
        elif func.name == "numpy.core.multiarray._reconstruct":
            _need(names[0] == "numpy.ndarray" and args[1:] == ((0,), b"b"), refused)
            self.append(_Record("numpy.ndarray"))
        else:
            _need(func.name == "numpy.dtype" and args[0] in (b"f4", b"f8", b"i8"), refused)
            _need(args[1:] == (0, 1), refused)
            self.append(_Record("numpy.dtype", np.dtype(args[0].decode())))

    def load_build(self):
        state, record = self.stack.pop(), self.stack[-1]
        _need(type(record) is _Record, f"refused: the pickle alters a {type(record).__name__}")
        if record.name == "numpy.dtype":
            known = [(3, order, None, None, None, -1, -1, 0) for order in (b"<", b">")]
            _need(state in known, "a dtype is none of 2013")
            record.state = record.state.newbyteorder(state[1].decode())
        elif record.name == "numpy.ndarray":
            record.state = self.build_array(state)
        else:
            record.state = state

    def build_array(self, state):
        _need(type(state) is tuple and len(state) == 5 and state[0] == 1, "an array lacks parts")
        shape, dtype, is_fortran, data = state[1:]
        _need(
            type(shape) is tuple
            and 1 <= len(shape) <= 4
            and all(type(n) is int and n > 0 for n in shape)
            and type(dtype) is _Record
            and isinstance(dtype.state, np.dtype)
            and type(is_fortran) is bool
            and type(data) is bytes
            and math.prod(shape) * dtype.state.itemsize == len(data),
            "an array's shape, dtype and data do not belong together",
        )
        self.n_array_bytes += len(data)  # one string may not serve many arrays
        _need(self.n_array_bytes <= self.lines.n_bytes, "its arrays exceed what was read")
        values = np.frombuffer(data, dtype.state).reshape(shape, order="F" if is_fortran else "C")
        return values.astype(dtype.state.newbyteorder("="), order="C")  # a copy, writable

    dispatch = {ord(op): pickle._Unpickler.dispatch[ord(op)] for op in "NILFV(tlapgci."}
    dispatch |= {ord("S"): load_string, ord("d"): load_dict, ord("s"): load_setitem}
    dispatch |= {ord("R"): load_reduce, ord("b"): load_build}


@contextmanager
def _opened(path, max_bytes):
    """Yield the root object of a pickle; LegacyPickleError if anything is wrong with it."""
    with open(path, "rb") as file:
        try:
            packed = file.peek(2)[:2] == b"\x1f\x8b"
            stream = gzip.GzipFile(fileobj=file) if packed else file
            root = _Reader(_Lines(stream, max_bytes)).load()
            _need(not stream.read(1), "something follows the end of the pickle")  # checks the CRC
            yield root
        except LegacyPickleError as error:
            raise LegacyPickleError(f"{path}: {error}") from None
        except Exception as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk fails, not the pickle
            raise LegacyPickleError(
                f"{path}: it is no pickle of protocol 0, or is damaged ({type(error).__name__})"
            ) from error


def _state(record, what, classes, kind):
    known = type(record) is _Record and record.name in classes and type(record.state) is kind
    _need(known, f"{what} is no {classes[0]} as written in 2013")
    return record.state


def _array(record, what, ndim, *dtypes):
    values = _state(record, what, ("numpy.ndarray",), np.ndarray)
    _need(
        values.ndim == ndim and values.dtype in dtypes,
        f"{what} is {values.dtype} of shape {values.shape}, not {dtypes[0]} of {ndim} dimensions",
    )
    _need(np.isfinite(values).all(), f"{what} holds NaN or infinity")
    return values


def load_dataset(path, max_bytes=4 * 2**30):
    """Read a pickled set of 2013.

    Parameters
    ----------
    path : str or os.PathLike
        Pickle of ``[train, valid, test]``, plain or gzip.
    max_bytes : int
        Most bytes to read, counted after decompression. A set of 400 tracks takes 1.4e9.

    Returns
    -------
    list of (x, y)
        train, valid, test: x float32 (n, 2560), finite, C order; y int64 (n,), not negative.

    Raises
    ------
    LegacyPickleError
        If the file is damaged, is no such set, or names a class or callable that was not in
        such a file in 2013. None of it has run.
    OSError
        If the file cannot be opened or read.
    """
    with _opened(path, max_bytes) as root:
        three = type(root) in (list, tuple) and len(root) == 3
        _need(three, "a set is a list of three (x, y): train, valid, test")
        datasets = []
        for part, pair in zip(("train", "valid", "test"), root):
            _need(type(pair) in (list, tuple) and len(pair) == 2, f"{part} is no pair (x, y)")
            x = _array(pair[0], f"x of {part}", 2, "float32")
            y = _array(pair[1], f"y of {part}", 1, "int64")
            _need(
                x.shape == (len(y), 2560),
                f"{part} has x {x.shape} and y {y.shape}, not (n, 2560) and (n,)",
            )
            _need(y.min() >= 0, f"y of {part} holds a negative label")
            datasets.append((x, y))
        return datasets


def load_model(path, max_bytes=2**29):
    """Read a pickled model of 2013.

    Parameters
    ----------
    path : str or os.PathLike
        Pickle of ``{'l0': layer}``, or of l0, l2 and l3, plain or gzip.
    max_bytes : int
        Most bytes to read, counted after decompression.

    Returns
    -------
    dict of str to numpy.ndarray
        W and b of each layer in the file, finite, all float32 or all float64: conv_W (filters,
        1, rows, cols), not flipped, conv_b (filters,); hidden_W (n_in, n_hidden), hidden_b
        (n_hidden,); softmax_W (n_hidden, n_out), softmax_b (n_out,).

    Raises
    ------
    LegacyPickleError, OSError
        As `load_dataset`.
    """
    with _opened(path, max_bytes) as root:
        known = type(root) is dict and 0 < len(root) and root.keys() <= _LAYERS.keys()
        _need(known, "a model is a dict of the layers l0, l2 and l3, or of some of them")
        arrays = {}
        for key in sorted(root):
            name, *classes = _LAYERS[key]
            pair = _state(root[key], key, classes, tuple)
            _need(len(pair) == 2, f"{key} does not hold (W, b)")
            for letter, shared, ndim in zip("Wb", pair, (4 if key == "l0" else 2, 1)):
                what = f"{letter} of {key}"
                container = _state(shared, what, [_SHARED], dict).get("container")
                storage = _state(container, what, [_CONTAINER], dict).get("storage")
                _need(type(storage) is list and len(storage) == 1, f"{what} holds no value")
                arrays[f"{name}_{letter}"] = _array(storage[0], what, ndim, "float32", "float64")
        _check_fit(arrays)
        _need(len({values.dtype for values in arrays.values()}) == 1, "its arrays differ in dtype")
        return arrays


def _check_fit(arrays):
    """Refuse layers that make no network together."""
    names = [name for name, *_ in _LAYERS.values() if f"{name}_W" in arrays]
    W_shapes = {name: arrays[f"{name}_W"].shape for name in names}
    b_lengths = {name: len(arrays[f"{name}_b"]) for name in names}

    def need_fit(condition, what):
        shapes = f"W {W_shapes}, lengths of b {b_lengths}"
        _need(condition, f"its arrays do not fit together ({what}): {shapes}")

    for name, shape in W_shapes.items():
        n_out = shape[0] if name == "conv" else shape[1]
        need_fit(
            b_lengths[name] == n_out, f"{name} needs an entry of b for each of {n_out} outputs"
        )
    if "conv" in names:
        need_fit(W_shapes["conv"][1] == 1, "conv must have one input map")
    if "conv" in names and "hidden" in names:
        n_in, n_maps = W_shapes["hidden"][0], b_lengths["conv"]
        need_fit(n_in % n_maps == 0, f"hidden must have inputs for {n_maps} maps of one size")
    if "hidden" in names and "softmax" in names:
        n_in, n_hidden = W_shapes["softmax"][0], b_lengths["hidden"]
        need_fit(
            n_in == n_hidden, f"softmax must have an input for each of {n_hidden} hidden units"
        )
