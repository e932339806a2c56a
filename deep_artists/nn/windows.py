"""Lengths that may be unknown before a graph runs, and windows that are cut from an axis."""

import pytensor.tensor as pt


def length(x, axis):
    """Return the length of an axis: an int where the graph knows it, else a symbolic integer."""
    known = x.type.shape[axis]
    return x.shape[axis] if known is None else known


def at_least_zero(n):
    """Return max(0, n), n an int or symbolic."""
    return max(0, n) if isinstance(n, int) else pt.maximum(n, 0)


def extend(x, axis, before, after, fill=0):
    """Put `before` and `after` cells of the value `fill` on the two ends of an axis.

    Parameters
    ----------
    x : tensor
    axis : int
    before : int
    after : int or symbolic integer
        A negative one cuts cells off.
    fill : float
    """
    shape = [length(x, i) for i in range(x.type.ndim)]
    whole = before + shape[axis] + after

    def block(n):
        return pt.full([n if i == axis else k for i, k in enumerate(shape)], fill, dtype=x.dtype)

    added = at_least_zero(after)
    parts = [block(n) for n in (before, added) if not isinstance(n, int) or n > 0]
    if parts:
        x = pt.concatenate([*parts[: before > 0], x, *parts[before > 0 :]], axis=axis)
    if not isinstance(after, int) or after < 0:
        x = x[(slice(None),) * axis + (slice(0, whole),)]
    return x


def cut_windows(x, axis, size, stride, n, pad=0, fill=0):
    """Cut n windows from an axis, which becomes two: (n, size).

    Window i has the cells i * stride - pad ... i * stride - pad + size - 1; cells beyond the ends
    have the value `fill`. The axis is taken apart into blocks of `stride` cells; a window is the
    first `size` cells of ceil(size / stride) neighbours. So windows that do not overlap cost no
    copy, and their gradients need no index.

    Parameters
    ----------
    x : tensor
    axis, size, stride, pad : int
    n : int or symbolic integer
    fill : float

    Examples
    --------
    >>> x = pt.arange(5.0, dtype="float64")
    >>> cut_windows(x, 0, size=3, stride=2, n=3, pad=1).eval(mode="FAST_COMPILE")
    array([[0., 0., 1.],
           [1., 2., 3.],
           [3., 4., 0.]])
    """
    neighbours = -(-size // stride)
    n_blocks = n + neighbours - 1
    x = extend(x, axis, pad, n_blocks * stride - pad - length(x, axis), fill)
    shape = [length(x, i) for i in range(x.type.ndim)]
    x = x.reshape([*shape[:axis], n_blocks, stride, *shape[axis + 1 :]])
    if neighbours > 1:
        before = (slice(None),) * axis
        x = pt.concatenate([x[before + (slice(j, j + n),)] for j in range(neighbours)], axis + 1)
    return x if neighbours * stride == size else x[(slice(None),) * (axis + 1) + (slice(0, size),)]
