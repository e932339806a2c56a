"""The device code of our kernels, run on the host: nvcc's PTX, instruction by instruction, as C.

Only what our kernels use is known; anything else is a KeyError or an AssertionError. A thread's
registers are a struct; at a barrier it returns, and goes on when all threads of the block have
come to it. Run as a program, this computes the cases of test_jax.py so.

    python tests/ptx.py kernels.ptx FOLDER    # writes FOLDER/float32.npz and float64.npz
"""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

C_TYPES = {"f32": "float", "f64": "double", "pred": "uint8_t", "b8": "uint8_t", "u8": "uint8_t"}
C_TYPES |= {f"{k}{n}": f"{'' if k == 's' else 'u'}int{n}_t" for k in "bsu" for n in (16, 32, 64)}
SIGNS = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "rem": "%",
    "and": "&",
    "or": "|",
    "xor": "^",
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "gt": ">",
    "le": "<=",
    "ge": ">=",
}
HEAD = """
#include <fenv.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
static float F(uint32_t b) { float f; memcpy(&f, &b, 4); return f; }
static double D(uint64_t b) { double d; memcpy(&d, &b, 8); return d; }
static uint64_t B(double d) { uint64_t b; memcpy(&b, &d, 8); return b; }
static int32_t rzi(double x) {
  return x != x ? 0 : x >= 0x1p31 ? INT32_MAX : x <= -0x1p31 ? INT32_MIN : (int32_t)x;
}
static uint32_t brev(uint32_t x) {
  uint32_t y = 0;
  for (int i = 0; i < 32; i++) y |= (x >> i & 1u) << (31 - i);
  return y;
}
"""
KERNEL = """
struct R_{name} {{ {registers} int resume; }};
static int run_{name}(struct R_{name} *r, char *param, char *shared, uint32_t ctaid,
                      uint32_t tid) {{
  switch (r->resume) {{ {barriers} default:; }}
{code}
  return 0;
}}
void {name}(void *kernel, int blocks, int threads) {{
  fenv_t caller; fegetenv(&caller); fesetenv(FE_DFL_ENV);
  struct R_{name} *r = malloc(threads * sizeof *r);
  char *shared = malloc({shared} + 1);
  for (int b = 0; b < blocks; b++) {{
    memset(r, 0xAA, threads * sizeof *r); memset(shared, 0xAA, {shared} + 1);
    for (int t = 0; t < threads; t++) r[t].resume = 0;
    for (int at = 1; at;)
      for (int t = 0; t < threads; t++) {{
        int there = run_{name}(r + t, kernel, shared, b, t);
        if (t && there != at) abort();  /* threads that part at a barrier */
        at = there;
      }}
  }}
  free(r); free(shared); fesetenv(&caller);
}}
"""
RUN_BLOCKS = """
#include <dlfcn.h>
#include <typeinfo>
template <class K> static const char *run_blocks(const K &kernel, Index blocks, Stream) {
    static void *library = dlopen("LIBRARY", RTLD_NOW);
    const std::string name = std::string("_Z10run_kernelI") + typeid(K).name() + "EvT_";
    void (*run)(const void *, int, int);
    *(void **)&run = dlsym(library, name.c_str());
    if (!run) return "it has no PTX";
    run(&kernel, blocks, K::THREADS);
    return nullptr;
}
"""


def translate(ptx):
    """Return C with a function for every kernel of a PTX text."""
    kernels = re.findall(r"\.entry (\w+)\(.*?\)\s*(?:\.\w+ [^\n]*\n)*\{(.*?)\n\}", ptx, re.DOTALL)
    return HEAD + "".join(translate_kernel(name, body) for name, body in kernels)


def translate_kernel(name, body):
    body = re.sub(r"//.*|\.pragma[^;]*;", "", body)
    registers = " ".join(
        f"{C_TYPES[kind]} {prefix}[{n}];"
        for kind, prefix, n in re.findall(r"\.reg \.(\w+)\s+%([a-z]+)<(\d+)>;", body)
    )
    offsets, shared = {}, 0
    for symbol, n in re.findall(r"\.shared \.align \d+ \.b8 (\w+)\[(\d+)\];", body):
        offsets[symbol], shared = shared, shared + int(n)
    body = re.sub(r"(?m)^\s*\.(reg|shared)[^;]*;", "", body)
    code, barriers = [], []
    for line in map(str.strip, body.splitlines()):
        if line.startswith("$"):
            code.append(line[1:] + ";")
        elif line not in ("", "{", "}"):
            guard, turned, predicate, op, rest = re.fullmatch(
                r"(@(!?)(%p\d+)\s+)?([\w.]+)\s*(.*);", line
            ).groups()
            operands = re.findall(r"\{[^}]*\}|\[[^]]*\]|[^,\s{}[\]]+", rest)
            if op == "bar.sync":
                barriers.append(f"case {len(barriers) + 1}: goto B{len(barriers) + 1};")
                at = len(barriers)
                code.append(f"r->resume = {at}; return {at}; B{at}:;")
            else:
                condition = f"if ({turned}{value(predicate, offsets)}) " if guard else ""
                code.append(condition + translate_line(op.split("."), operands, offsets))
    return KERNEL.format(
        name=name,
        registers=registers,
        barriers=" ".join(barriers),
        code="\n".join(code),
        shared=shared,
    )


def value(operand, offsets):
    """Return an operand in C."""
    if operand in ("%tid.x", "%ctaid.x"):
        return operand[1:-2]
    if operand.startswith("%"):
        return re.sub(r"%([a-z]+)(\d+)", r"r->\1[\2]", operand)
    if operand.startswith("0f"):
        return f"F(0x{operand[2:]})"
    if operand.startswith("0d"):
        return f"D(0x{operand[2:]}ull)"
    return str(offsets[operand]) if operand in offsets else f"({int(operand)}ll)"


def translate_line(words, operands, offsets):
    """Return an instruction in C; words: what its name has between dots."""
    op, modes, kind = words[0], words[1:], C_TYPES.get(words[-1])
    unsigned = kind if kind in ("float", "double") else kind and "u" + kind.removeprefix("u")
    if op == "ret":
        return "return 0;"
    if op == "bra":
        return f"goto {operands[0][1:]};"
    if op in ("ld", "st"):
        at = operands[op == "ld"]
        base, _, offset = at.strip("[]").partition("+")
        start = "param"
        if modes[0] != "param":
            space = {"global": "(char *)", "shared": "shared + (int32_t)"}[modes[0]]
            start = space + value(base, offsets)
        pointer = f"(({kind} *)({start} + {offset or 0}))"
        if {"v2", "v4"} & {*modes}:
            assert op == "ld", words
            each = re.findall(r"%\w+", operands[0])
            return " ".join(f"{value(v, offsets)} = {pointer}[{i}];" for i, v in enumerate(each))
        if op == "st":
            return f"*{pointer} = {value(operands[1], offsets)};"
        return f"{value(operands[0], offsets)} = *{pointer};"  # C widens as PTX does
    if op == "mov" and operands[0].startswith("{"):
        bits = ("B" if "%fd" in operands[1] else "") + f"({value(operands[1], offsets)})"
        return " ".join(
            f"{value(v, offsets)} = {bits} >> {32 * i};"
            for i, v in enumerate(re.findall(r"%\w+", operands[0]))
            if v != "%temp"
        )
    if op == "mov" and operands[1].startswith("{"):
        low, high = (value(v, offsets) for v in re.findall(r"%\w+", operands[1]))
        return f"{value(operands[0], offsets)} = D((uint32_t){low} | (uint64_t){high} << 32);"
    to, *v = (value(operand, offsets) for operand in operands)
    assert not {"ftz", "approx", "sat"} & {*modes}, words
    typed = [f"({kind}){a}" for a in v]
    if op in ("mov", "cvta"):
        cast = {("%fd", "%rd"): "D", ("%rd", "%fd"): "B"}  # the bits as another type
        assert words[-1] not in ("b16", "b32"), words
        e = cast.get(tuple(operand[:3] for operand in operands), "") + f"({v[0]})"
    elif op == "fma":
        e = f"{'fmaf' if kind == 'float' else 'fma'}({', '.join(v)})"
    elif op == "mul" and modes[0] in ("wide", "hi"):
        wide = C_TYPES[f"{words[-1][0]}{2 * int(words[-1][1:])}"]
        assert modes[0] == "wide" or words[-1] == "s32", words
        e = f"({wide}){typed[0]} * ({wide}){typed[1]}" + (" >> 32" if modes[0] == "hi" else "")
    elif op == "mad":
        e = f"({unsigned}){v[0]} * ({unsigned}){v[1]} + ({unsigned}){v[2]}"
    elif op in ("add", "sub", "mul", "and", "or", "xor"):
        e = f"({unsigned}){v[0]} {SIGNS[op]} ({unsigned}){v[1]}"
    elif op in ("div", "rem"):
        e = f"{typed[0]} {SIGNS[op]} {typed[1]}"
    elif op in ("min", "max"):
        assert kind not in ("float", "double"), words
        e = f"{typed[0]} {'<' if op == 'min' else '>'} {typed[1]} ? {v[0]} : {v[1]}"
    elif op == "neg":
        e = f"-{typed[0]}" if kind in ("float", "double") else f"0 - ({unsigned}){v[0]}"
    elif op == "abs":
        e = f"{typed[0]} < 0 ? 0 - ({unsigned}){v[0]} : {v[0]}"
    elif op == "not":
        e = f"!{v[0]}" if words[-1] == "pred" else f"~({kind}){v[0]}"
    elif op in ("shl", "shr"):
        bits = int(words[-1][1:])
        shift = f"({typed[0]} {'<<' if op == 'shl' else '>>'} "
        beyond = f"{shift}{bits - 1})" if words[-1][0] == "s" else "0"
        e = f"(uint32_t){v[1]} >= {bits} ? {beyond} : {shift}(uint32_t){v[1]})"
    elif op == "setp":
        how, (a, b) = modes[0], typed
        opposite = {"neu": "eq", "leu": "gt", "geu": "lt", "ltu": "ge", "gtu": "le"}
        if how == "nan":
            e = f"isnan({a}) || isnan({b})"
        elif how in opposite:  # true of NaN
            e = f"!({a} {SIGNS[opposite[how]]} {b})"
        else:
            assert how != "ne" or kind not in ("float", "double"), words
            e = f"{a} {SIGNS[how]} {b}"
    elif op == "selp":
        e = f"{v[2]} ? {v[0]} : {v[1]}"
    elif op == "cvt":
        rounding = {"rni": "nearbyint", "rzi": "rzi"}.get(modes[0], f"({C_TYPES[modes[-2]]})")
        assert "rni" not in modes and "rzi" not in modes or modes[-1] == "f64", words
        e = f"{rounding}({typed[0]})"
    elif op == "shf":
        assert modes == ["l", "wrap", "b32"], words
        e = f"((uint64_t){v[1]} << 32 | (uint32_t){v[0]}) << ((uint32_t){v[2]} & 31) >> 32"
    else:
        how, e = {
            "brev": ("b32", f"brev({v[0]})"),
            "bfind": ("shiftamt.u32", f"{v[0]} ? __builtin_clz({v[0]}) : -1"),
            "popc": ("b32", f"__builtin_popcount({v[0]})"),
            "rcp": ("rn.f64", f"1 / {v[0]}"),
        }[op]
        assert how == ".".join(modes), words
    return f"{to} = {e};"


def main(ptx, folder):
    import numpy as np
    from test_jax import compute_all

    from deep_artists.ops.jax import ffi

    folder = Path(folder).resolve()
    (folder / "ptx.c").write_text(translate(Path(ptx).read_text()))
    flags = ["-O1", "-ffp-contract=off", "-fno-strict-aliasing", "-fwrapv", "-shared", "-fPIC"]
    subprocess.run(["gcc", *flags, folder / "ptx.c", "-o", folder / "ptx.so", "-lm"], check=True)
    (folder / "run_blocks.h").write_text(RUN_BLOCKS.replace("LIBRARY", str(folder / "ptx.so")))
    ffi.HOST_FLAGS = (*ffi.HOST_FLAGS, f'-DRUN_BLOCKS="{folder}/run_blocks.h"')
    ffi.pytensor = SimpleNamespace(config=SimpleNamespace(base_compiledir=folder))
    for dtype in ("float32", "float64"):
        np.savez(folder / f"{dtype}.npz", *compute_all(dtype, "jax-ffi"))


if __name__ == "__main__":
    main(*sys.argv[1:])
