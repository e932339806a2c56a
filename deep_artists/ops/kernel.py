"""An Op whose C code is one function of a file in ``kernels/``."""

from functools import cache

from pytensor.link.c.op import COp
from pytensor.link.c.params_type import ParamsType
from pytensor.scalar import int64
from pytensor.tensor import as_tensor_variable

from .library import C_TYPES, find_kernel


@cache
def make_params_type(int_params):
    """Return the type of what goes to C code: the kernel's address, then the Op's integers."""
    return ParamsType(kernel=int64, **dict.fromkeys(int_params, int64))


class KernelOp(COp):
    """An Op computed by a function of a kernel: ``function(inputs, &outputs, int_params)``.

    A subclass names `source`, `function` and in `int_params` the integers that follow the arrays,
    attributes of it unless `find_numbers` finds them elsewhere. The function comes from a library
    for the dtype of the first input; it returns non-zero with a Python exception set when the
    shapes do not fit. The C code that PyTensor compiles only calls its address, so it depends on no
    kernel.
    """

    source: str
    function: str
    int_params = ()
    __props__ = ()

    @property
    def params_type(self):
        """The type of what `get_params` returns."""
        return make_params_type(self.int_params)

    def get_params(self, node):
        """Return the kernel's address and the integers, for C code."""
        address = find_kernel(self.source, self.function, node.inputs[0].type.dtype)
        return self.params_type.get_params(kernel=address, **self.find_numbers(node))

    def find_numbers(self, node):
        """Return the integers that follow the arrays, by name."""
        return {name: getattr(self, name) for name in self.int_params}

    def c_compile_args(self, **kwargs):
        # Contraction would tie the last bit to the processor.
        return ["-ffp-contract=off"]

    def c_code_cache_version(self):
        return (1, self.function, self.int_params)

    def c_code(self, node, name, inputs, outputs, sub):
        types = ["PyArrayObject *"] * len(inputs) + ["PyArrayObject **"] * len(outputs)
        types = ", ".join(types + ["npy_intp"] * len(self.int_params))
        params = sub["params"]
        numbers = [f"{params}->{name}" for name in self.int_params]
        arguments = ", ".join([*inputs, *(f"&{z}" for z in outputs), *numbers])
        return f"""
            if (((int (*)({types}))(intptr_t){params}->kernel)({arguments})) {{ {sub["fail"]} }}
        """


def as_images(op, **arguments):
    """Return the arguments as 4-dimensional tensors of one float dtype."""
    tensors = {name: as_tensor_variable(value) for name, value in arguments.items()}
    found = ", ".join(f"{name} {t.type.dtype} {t.type.shape}" for name, t in tensors.items())
    if any(t.type.ndim != 4 for t in tensors.values()):
        raise TypeError(f"{op}: every argument must have 4 dimensions, found {found}")
    dtypes = {t.type.dtype for t in tensors.values()}
    if len(dtypes) != 1 or not dtypes <= set(C_TYPES):
        raise TypeError(f"{op}: one dtype, float32 or float64, is needed, found {found}")
    return list(tensors.values())


def as_matrix(op, x):
    """Return x as a float matrix."""
    x = as_tensor_variable(x)
    if x.type.ndim != 2 or x.type.dtype not in C_TYPES:
        raise TypeError(f"{op}: a float32 or float64 matrix is needed, found {x.type}")
    return x


def as_labels(y):
    """Return y as an int32 vector."""
    y = as_tensor_variable(y)
    if y.type.ndim != 1 or y.type.dtype != "int32":
        raise TypeError(f"labels: an int32 vector is needed, found {y.type}")
    return y
