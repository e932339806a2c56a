"""An Op whose C code is one function of a file in ``kernels/``."""

import hashlib
from functools import cache
from pathlib import Path

from pytensor.link.c.op import COp
from pytensor.tensor import as_tensor_variable

KERNELS = Path(__file__).resolve().parent / "kernels"

C_TYPES = {"float32": "float", "float64": "double"}


@cache
def hash_kernels():
    """Return a hash of the kernels' sources and of this file, which writes the calls."""
    digest = hashlib.sha256()
    for path in sorted([*KERNELS.glob("*.cpp"), *KERNELS.glob("*.h"), Path(__file__)]):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class KernelOp(COp):
    """An Op computed by a function template, ``function<T>(inputs, &outputs, int_params)``.

    A subclass names `source` and `function`, and in `int_params` those of its attributes, integers,
    that follow the arrays; `params_type` declares them to PyTensor, so that one compiled module
    serves all their values. T is the dtype of the first input. The function returns non-zero with
    a Python exception set when the shapes do not fit.
    """

    source: str
    function: str
    int_params = ()
    __props__ = ()

    def c_header_dirs(self, **kwargs):
        return [str(KERNELS)]

    def c_support_code(self, **kwargs):
        return f'#include "{self.source}"'

    def c_compile_args(self, **kwargs):
        # Contraction would tie the last bit to the processor.
        return ["-O3", "-fopenmp", "-ffp-contract=off"]

    def c_no_compile_args(self, c_compiler=None, **kwargs):
        # isa.h names the instruction sets it wants; PyTensor adds those of this processor.
        return [flag for flag in getattr(c_compiler, "march_flags", None) or [] if flag[:2] == "-m"]

    def c_code_cache_version(self):
        return (hash_kernels(), self.source, self.function, self.int_params)

    def c_code(self, node, name, inputs, outputs, sub):
        dtype = C_TYPES[node.inputs[0].type.dtype]
        numbers = [f"{sub['params']}->{name}" for name in self.int_params]
        arguments = ", ".join([*inputs, *(f"&{z}" for z in outputs), *numbers])
        return f"""
            try {{
                if ({self.function}<{dtype}>({arguments})) {{ {sub["fail"]} }}
            }} catch (const std::bad_alloc &) {{
                PyErr_NoMemory();
                {sub["fail"]}
            }}
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
