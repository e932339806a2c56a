"""The rectifier max(0, v), with the gradient of Theano 0.6 where v is 0.

``T.maximum(0, v)`` of Theano 0.6 gives v the full gradient where v == 0. PyTensor gives it to the
first argument instead; other libraries give half of it or none. In a silent patch with biases of
zero, v is exactly 0.
"""

import numpy as np
from pytensor.scalar.basic import UnaryScalarOp, ge, switch, upgrade_to_float
from pytensor.tensor import as_tensor_variable
from pytensor.tensor.elemwise import Elemwise


def rectify(v):
    """Return max(0, v), elementwise.

    Parameters
    ----------
    v : tensor, float32 or float64, any shape

    Returns
    -------
    tensor, like `v`

    Notes
    -----
    ``T.maximum(0, v)`` of Theano 0.6: the gradient passes where v >= 0.

    Examples
    --------
    >>> import numpy as np
    >>> rectify(np.array([-1.0, 0.0, 2.0])).eval(mode="FAST_COMPILE")
    array([0., 0., 2.])
    """
    return elemwise_rectify(as_tensor_variable(v))


class Rectify(UnaryScalarOp):
    """max(0, v) of one number; NaN stays NaN."""

    def impl(self, v):
        return np.maximum(v, v.dtype.type(0)) if hasattr(v, "dtype") else max(v, 0.0)

    def pullback(self, inputs, outputs, gradients):
        (v,), (g,) = inputs, gradients
        return [switch(ge(v, 0), g, g.zeros_like())]  # Theano 0.6: full gradient at 0

    def c_code(self, node, name, inputs, outputs, sub):
        return f"{outputs[0]} = {inputs[0]} <= 0 ? 0 : {inputs[0]};"

    def c_code_cache_version(self):
        return (1,)


elemwise_rectify = Elemwise(Rectify(upgrade_to_float, name="rectify"))
