"""The inputs of the recordings, made by rule. Runs under Python 2.7 and Python 3.

Everything is a product, difference or rounding of uniform draws of a seeded RandomState, or a
number written out here, so that every NumPy makes the same bits. Values are made in float64 and
then cast to the dtype asked for. Recordings hold the SHA-256 of each input's raw bytes (C order).

A case is (name, arrays): arrays is a dict of the inputs and of `g`, the cotangent. What is
recorded beside the output are the gradients of sum(output * g).
"""

import hashlib

import numpy as np

CONV2D = (  # name, image_shape, filter_shape
    ("square", (2, 1, 6, 6), (3, 1, 3, 3)),
    ("nonsquare", (2, 1, 9, 7), (3, 1, 4, 2)),
    ("maps", (3, 3, 7, 8), (4, 3, 3, 2)),
    ("one_by_one", (2, 2, 4, 5), (3, 2, 1, 1)),
    ("whole_image", (2, 2, 5, 4), (3, 2, 5, 4)),
    ("column", (2, 1, 8, 5), (2, 1, 8, 1)),
    ("ties", (7, 2, 6, 5), (3, 2, 3, 2)),
    ("patch_9x9", (1, 1, 64, 40), (2, 1, 9, 9)),
    ("patch_33x11", (1, 1, 64, 40), (2, 1, 33, 11)),
)

MAX_POOL = (  # name, input shape, poolsize; borders that do not fill a window are ignored
    ("even", (7, 2, 6, 8), (2, 2)),
    ("borders", (7, 2, 7, 5), (2, 2)),
    ("nonsquare", (7, 2, 8, 7), (3, 2)),
    ("one_by_one", (7, 1, 3, 4), (1, 1)),
    ("whole_map", (7, 1, 4, 5), (4, 5)),
    ("pool_8x8", (7, 1, 17, 20), (8, 8)),
    ("pool_16x10", (7, 1, 32, 30), (16, 10)),
)


def sha256(array):
    """Return the SHA-256 of an array's raw bytes in C order, as hexadecimal digits."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _signed(rng, shape):
    """Values in (-0.5, 0.5), more of them near 0."""
    return (rng.uniform(size=shape) - 0.5) * rng.uniform(size=shape)


def _special(rng, shape):
    """Seven images, each of a kind that makes ties, zeros or windows without a positive value."""
    u = rng.uniform(size=shape)
    return np.array([
        _signed(rng, shape[1:]),
        np.floor(4.0 * u[1]) / 2.0 - 1.0,  # -1, -0.5, 0, 0.5
        0.0 * u[2],  # digital silence
        -u[3] * u[2],  # negative only
        0.0 * u[4] + u[4, 0, 0, 0],  # constant
        np.where(u[5] < 0.5, -0.0, 0.0),  # zeros of both signs
        np.floor(2.0 * u[6]) / 2.0 - 1.0,  # -1, -0.5: negative only, with ties
    ])


def conv2d_cases(dtype):
    """Yield (name, {"x": images, "W": filters, "g": cotangent}) for conv2d, 'valid', flipped."""
    for seed, (name, image_shape, filter_shape) in enumerate(CONV2D):
        rng = np.random.RandomState(seed)
        x = _special(rng, image_shape) if name == "ties" else _signed(rng, image_shape)
        W = _signed(rng, filter_shape)
        rows, columns = (image_shape[i] - filter_shape[i] + 1 for i in (2, 3))
        g = _signed(rng, (image_shape[0], filter_shape[0], rows, columns))
        yield name, _cast(dtype, x=x, W=W, g=g)


def max_pool_cases(dtype):
    """Yield (name, {"x": maps, "g": cotangent}) for max_pool_2d; the poolsize is in MAX_POOL."""
    for seed, (name, shape, poolsize) in enumerate(MAX_POOL):
        rng = np.random.RandomState(100 + seed)
        x = _special(rng, shape)
        g = _signed(rng, shape[:2] + (shape[2] // poolsize[0], shape[3] // poolsize[1]))
        yield name, _cast(dtype, x=x, g=g)


def rectify_cases(dtype):
    """Yield (name, arrays) for maximum(0, v) and for maximum(0, p + b), as a layer writes it."""
    info = np.finfo(dtype)
    denormal = np.nextafter(np.zeros((), dtype), np.ones((), dtype))
    sizes = [denormal, info.tiny, info.eps, 0.5, 1.0, info.max, np.inf]
    v = np.array([0.0] + sizes + [-0.0] + [-size for size in sizes], dtype)
    g = _signed(np.random.RandomState(200), v.shape)
    yield "around_zero", _cast(dtype, v=v, g=g)

    rng = np.random.RandomState(201)
    p = np.floor(4.0 * rng.uniform(size=(3, 4, 2, 3))) / 2.0 - 1.0  # -1, -0.5, 0, 0.5
    b = np.array([0.0, 0.5, 1.0, -0.5])  # p + b is exactly 0 in many places
    yield "bias", _cast(dtype, p=p, b=b, g=_signed(rng, p.shape))


def softmax_cases(dtype):
    """Yield (name, {"z": logits (n, k), "y": classes (n,) int32}) for softmax and the mean NLL."""
    rng = np.random.RandomState(300)
    ordinary = 8.0 * _signed(rng, (6, 5))
    network = 4.0 * _signed(rng, (8, 20))
    extreme = 4000.0 * _signed(rng, (6, 5))
    equal = np.ones((6, 4)) * np.array([[0.0], [1.0], [-3.5], [1000.0], [-1000.0], [1e30]])
    dominating = np.zeros((8, 4))
    heights = [30, 30, 100, 100, 1000, 1000, 1e30, -1e30]
    dominating[np.arange(8), [1, 2, 3, 0, 1, 2, 3, 1]] = heights  # of class y in rows 0, 2, 4, 6
    edges = [-1.0, -87.0, -88.5, -103.0, -104.5, -708.0, -709.5, -745.0, -746.0]  # exp's last steps
    underflow = np.array([[0.0, edge, edge - 0.25] for edge in edges])
    tied = np.array([[2.0, 2.0, -1.0], [-1.0, 2.0, 2.0], [2.0, -1.0, 2.0]])  # argmax: the first
    for name, z in (("ordinary", ordinary), ("network", network), ("extreme", extreme),
                    ("equal", equal), ("dominating", dominating), ("underflow", underflow),
                    ("tied", tied)):
        y = ((3 * np.arange(len(z)) + 1) % z.shape[1]).astype(np.int32)
        yield name, dict(_cast(dtype, z=z), y=y)


def make_dataset(seed=2013, n_classes=20):
    """Make the set that the recorded runs were trained on.

    Every sixteenth row is silent and every 37th constant: both make ties.

    Returns
    -------
    list of (x, y)
        train, valid, test: x float32 (60 | 15 | 15 per class, 2560), y int64.
    """
    rng = np.random.RandomState(seed)
    envelope = rng.uniform(size=(n_classes, 64, 1)) * rng.uniform(size=(n_classes, 64, 1))
    datasets = []
    for n in (60, 15, 15):
        x = np.empty((n_classes, n, 64, 40))
        for c in range(n_classes):
            u = rng.uniform(size=(n, 64, 40))
            v = rng.uniform(size=(n, 1, 40))
            x[c] = ((8.0 * envelope[c]) * u) * v
        x = x.reshape(-1, 2560)
        x[5::16] = 0.0
        x[11::37] = x[11::37, :1]
        datasets.append((x.astype(np.float32), np.repeat(np.arange(n_classes), n)))
    return datasets


def _cast(dtype, **arrays):
    return dict((name, np.asarray(array, dtype=dtype)) for name, array in arrays.items())
