"""An Op whose C code is one function of a file in ``kernels/``."""

import hashlib
from functools import cache
from pathlib import Path

from pytensor.link.c.op import COp

KERNELS = Path(__file__).resolve().parent / "kernels"

C_TYPES = {"float32": "float", "float64": "double"}


@cache
def hash_sources():
    """Return a hash of all that makes C code: what was compiled of another is not used."""
    digest = hashlib.sha256()
    for pattern in ("kernels/*.cpp", "kernels/*.h", "*.py"):
        for path in sorted(KERNELS.parent.glob(pattern)):
            if path.stem not in ("jax", "ffi", "lax"):
                digest.update(path.read_bytes())
    return digest.hexdigest()


class KernelOp(COp):
    """An Op computed by ``source``'s function template ``function<T>(inputs, &outputs, numbers)``.

    A subclass names `source` and `function`, and in `numbers` those of its attributes, integers,
    that follow the arrays; `params_type` declares them to PyTensor, so that one compiled module
    serves all their values. T is the dtype of the first input. The function returns non-zero with
    a Python exception set when the shapes do not fit.
    """

    source: str
    function: str
    numbers = ()
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
        return (hash_sources(),)

    def c_code(self, node, name, inputs, outputs, sub):
        dtype = C_TYPES[node.inputs[0].type.dtype]
        numbers = [f"{sub['params']}->{name}" for name in self.numbers]
        arguments = ", ".join([*inputs, *(f"&{z}" for z in outputs), *numbers])
        return f"""
            try {{
                if ({self.function}<{dtype}>({arguments})) {{ {sub["fail"]} }}
            }} catch (const std::bad_alloc &) {{
                PyErr_NoMemory();
                {sub["fail"]}
            }}
        """
