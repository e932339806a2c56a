"""Record what Theano 0.6rc3 computes, or check the stored recordings. Needs Python 2.7.

    python record.py            write golden/ops and golden/network, update MANIFEST.json
    python record.py --check    record again, compare with what is stored, change nothing

The README beside this file sets up the environment. Every run compiles afresh, in a folder of
its own, float32 and float64 each in a process of its own: floatX is fixed at Theano's import.
Inputs come from inputs.py. Arrays of ops/* are named <dtype>/<case>/<quantity>, where g<input> is
the gradient of sum(output * g). Those of network/<recipe>-<dtype> are named as in program/*.
"""

from __future__ import print_function

import argparse
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
import zlib

import numpy as np

import inputs

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")
FLAGS = ("floatX=%(floatX)s,mode=Mode,device=cpu,warn.ignore_bug_before=all,blas.ldflags=,"
         "base_compiledir=%(compiledir)s,gcc.cxxflags=-std=gnu++98 -fpermissive -w -L%(libdir)s")
# One thread and one BLAS kernel, that of NumPy's own wheel: every x86-64 machine rounds alike.
ENVIRONMENT = {"OPENBLAS_CORETYPE": "Nehalem", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
# What --check accepts: largest difference / largest entry of the array. The recording machine
# repeats every bit. Elsewhere exp, log and fused multiply-adds may round otherwise; ten float32
# steps then meet pre-activations so near 0 that a unit is on in one run and off in the other.
# Measured with another BLAS kernel and -march=native: 1e-15, 2.2e-7, 8.8e-5.
BOUNDS = {"float64": 1e-12, "float32": 1e-5, "float32 network": 1e-3}

N_STEPS = 10
RECIPES = {
    "first": dict(learning_rate=0.01, batch_size=50, nkerns=15, filter_shape=(9, 9),
                  poolsize=(2, 2), n_hidden=512, n_out=10, seed=2010),
    "second": dict(learning_rate=0.02, batch_size=100, nkerns=15, filter_shape=(9, 9),
                   poolsize=(8, 8), n_hidden=512, n_out=20, seed=2013),
    "third": dict(learning_rate=0.01, batch_size=50, nkerns=10, filter_shape=(9, 9),
                  poolsize=(8, 8), n_hidden=1024, n_out=20, seed=2013),
    "last": dict(learning_rate=0.005, batch_size=150, nkerns=10, filter_shape=(33, 11),
                 poolsize=(16, 10), n_hidden=1024, n_out=20, seed=2013, L2_softmax=0.002),
    "page": dict(learning_rate=0.05, batch_size=80, nkerns=10, filter_shape=(33, 11),
                 poolsize=(16, 10), n_hidden=1024, n_out=20, seed=2013, L2_softmax=0.002,
                 L2_conv=0.002),
}
WHAT = {
    "ops/conv2d.npz": "conv2d 'valid' (flipped filters): output, gradients for input and filters",
    "ops/max_pool.npz": "max_pool_2d, ignore_border=True: output and gradient, ties included",
    "ops/rectify.npz": "maximum(0, v) and maximum(0, p + b): output and gradients, at 0 as well",
    "ops/softmax.npz": "softmax and mean negative log-likelihood: p, argmax, nll, cost, gradient",
    "network/initial.npz": "initial W of every recipe: SHA-256 of the bytes, and the first few",
}


def record_conv2d(dtype):
    import theano.tensor as T
    from theano.tensor.nnet.conv import conv2d
    for (name, arrays), (_, image_shape, filter_shape) in zip(inputs.conv2d_cases(dtype),
                                                              inputs.CONV2D):
        x, W, g = T.tensor4("x"), T.tensor4("W"), T.tensor4("g")
        out = conv2d(input=x, filters=W, filter_shape=filter_shape, image_shape=image_shape)
        yield name, arrays, run(out, [x, W], g, arrays)


def record_max_pool(dtype):
    import theano.tensor as T
    from theano.tensor.signal.downsample import max_pool_2d
    for (name, arrays), (_, _, poolsize) in zip(inputs.max_pool_cases(dtype), inputs.MAX_POOL):
        x, g = T.tensor4("x"), T.tensor4("g")
        out = max_pool_2d(input=x, ds=poolsize, ignore_border=True)
        yield name, arrays, run(out, [x], g, arrays)


def record_rectify(dtype):
    import theano.tensor as T
    for name, arrays in inputs.rectify_cases(dtype):
        if name == "bias":
            p, b, g = T.tensor4("p"), T.vector("b"), T.tensor4("g")
            yield name, arrays, run(T.maximum(0, p + b.dimshuffle("x", 0, "x", "x")), [p, b], g,
                                    arrays)
        else:
            v, g = T.vector("v"), T.vector("g")
            yield name, arrays, run(T.maximum(0, v), [v], g, arrays)


def record_softmax(dtype):
    import theano
    import theano.tensor as T
    z, y = T.matrix("z"), T.ivector("y")
    p_y_given_x = T.nnet.softmax(z)
    nll = -T.log(p_y_given_x)[T.arange(y.shape[0]), y]
    predict = theano.function([z], [p_y_given_x, T.argmax(p_y_given_x, axis=1)])
    each = theano.function([z, y], nll)
    train = theano.function([z, y], [T.mean(nll), T.grad(T.mean(nll), z)])
    for function in (each, train):  # Theano 0.6 replaces log(softmax)[y]: no log(0), no 0 / 0
        ops = [type(node.op).__name__ for node in function.maker.fgraph.toposort()]
        assert "CrossentropySoftmaxArgmax1HotWithBias" in ops, ops
    for name, arrays in inputs.softmax_cases(dtype):
        p, argmax = predict(arrays["z"])
        cost, gz = train(arrays["z"], arrays["y"])
        yield name, arrays, {"p_y_given_x": p, "argmax": argmax, "cost": cost, "gz": gz,
                             "nll": each(arrays["z"], arrays["y"])}


def run(out, wrt, g, arrays):
    """Return {"out": value, "g" + name: gradient of sum(out * g) for each input}."""
    import theano
    import theano.tensor as T
    gradients = T.grad(T.sum(out * g), wrt)
    function = theano.function(wrt + [g], [out] + gradients)
    values = function(*[arrays[variable.name] for variable in wrt + [g]])
    return dict(zip(["out"] + ["g" + variable.name for variable in wrt], values))


def initial_parameters(recipe):
    """Return the six parameters as shared variables, conv W and hidden W drawn in this order."""
    import theano
    rng = np.random.RandomState(23455)
    nkerns, (kh, kw), (ph, pw) = recipe["nkerns"], recipe["filter_shape"], recipe["poolsize"]
    n_in = nkerns * ((64 - kh + 1) // ph) * ((40 - kw + 1) // pw)
    n_hidden, n_out = recipe["n_hidden"], recipe["n_out"]
    conv_bound = np.sqrt(6.0 / (kh * kw + nkerns * kh * kw // (ph * pw)))
    hidden_bound = np.sqrt(6.0 / (n_in + n_hidden))
    values = [
        ("conv_W", rng.uniform(-conv_bound, conv_bound, size=(nkerns, 1, kh, kw))),
        ("conv_b", np.zeros(nkerns)),
        ("hidden_W", rng.uniform(-hidden_bound, hidden_bound, size=(n_in, n_hidden))),
        ("hidden_b", np.zeros(n_hidden)),
        ("softmax_W", np.zeros((n_hidden, n_out))),
        ("softmax_b", np.zeros(n_out)),
    ]
    return [theano.shared(value.astype(theano.config.floatX), name) for name, value in values]


def compile_train(recipe, parameters, train_x, train_y):
    """Return train_model(index): the cost of minibatch `index`, before the SGD update it makes."""
    import theano
    import theano.tensor as T
    from theano.tensor.nnet.conv import conv2d
    from theano.tensor.signal.downsample import max_pool_2d
    conv_W, conv_b, hidden_W, hidden_b, softmax_W, softmax_b = parameters
    batch_size = recipe["batch_size"]
    index, x, y = T.lscalar("index"), T.matrix("x"), T.ivector("y")

    z = conv2d(input=x.reshape((batch_size, 1, 64, 40)), filters=conv_W,
               filter_shape=conv_W.get_value().shape, image_shape=(batch_size, 1, 64, 40))
    p = max_pool_2d(input=z, ds=recipe["poolsize"], ignore_border=True)
    h = T.maximum(0, p + conv_b.dimshuffle("x", 0, "x", "x")).flatten(2)
    h = T.maximum(0, T.dot(h, hidden_W) + hidden_b)
    p_y_given_x = T.nnet.softmax(T.dot(h, softmax_W) + softmax_b)
    cost = -T.mean(T.log(p_y_given_x)[T.arange(y.shape[0]), y])
    if "L2_softmax" in recipe:
        cost = cost + recipe["L2_softmax"] * (softmax_W ** 2).sum()
    if "L2_conv" in recipe:
        cost = cost + recipe["L2_conv"] * (conv_W ** 2).sum()

    updates = [(parameter, parameter - recipe["learning_rate"] * gradient)
               for parameter, gradient in zip(parameters, T.grad(cost, parameters))]
    shared_x = theano.shared(train_x.astype(theano.config.floatX), borrow=True)
    shared_y = theano.shared(train_y.astype(theano.config.floatX), borrow=True)
    rows = slice(index * batch_size, (index + 1) * batch_size)
    return theano.function([index], cost, updates=updates,
                           givens={x: shared_x[rows], y: T.cast(shared_y, "int32")[rows]})


def snapshot(parameters, n):
    """Yield what is kept of the parameters after `n` updates; of hidden_W its sums only."""
    for parameter in parameters:
        value = parameter.get_value()
        if parameter.name == "hidden_W":
            for axis, sums in ((1, "row_sums"), (0, "column_sums")):
                total = value.sum(axis=axis, dtype=np.float64).astype(value.dtype)
                yield "hidden_W_%s_after%d" % (sums, n), total
        else:
            yield "%s_after%d" % (parameter.name, n), value
        yield "%s_after%d_sha256" % (parameter.name, n), np.array(inputs.sha256(value), "S64")


def record_network(recipe):
    """Yield the names and values of N_STEPS training steps."""
    train_x, train_y = inputs.make_dataset(recipe["seed"], recipe["n_out"])[0]
    parameters = initial_parameters(recipe)
    train_model = compile_train(recipe, parameters, train_x, train_y)
    n_train_batches = len(train_x) // recipe["batch_size"]
    yield "train_x_sha256", np.array(inputs.sha256(train_x), "S64")
    yield "train_y_sha256", np.array(inputs.sha256(train_y), "S64")
    cost = []
    for iteration in range(N_STEPS):
        cost.append(train_model(iteration % n_train_batches))
        if iteration + 1 in (1, N_STEPS):
            for item in snapshot(parameters, iteration + 1):
                yield item
    yield "cost", np.array(cost)


def record_all(dtype):
    """Return {file: {name: array}} for one dtype, which is the floatX of this process."""
    import numpy.distutils.__config__  # Theano 0.6 expects NumPy to have imported this itself
    import theano
    assert theano.config.floatX == dtype
    files = {}
    for op, record in (("conv2d", record_conv2d), ("max_pool", record_max_pool),
                       ("rectify", record_rectify), ("softmax", record_softmax)):
        members = files["ops/%s.npz" % op] = {}
        for case, arrays, values in record(dtype):
            for name, array in arrays.items():
                values[name + "_sha256"] = np.array(inputs.sha256(array), "S64")
            for name, value in values.items():
                members["/".join((dtype, case, name))] = np.asarray(value)
    initial = files["network/initial.npz"] = {}
    for name, recipe in RECIPES.items():
        files["network/%s-%s.npz" % (name, dtype)] = dict(record_network(recipe))
        for parameter in initial_parameters(recipe):
            if parameter.name.endswith("_W") and parameter.name != "softmax_W":
                value, key = parameter.get_value(), "/".join((dtype, name, parameter.name))
                value = value.reshape(len(value), -1)
                initial[key + "_sha256"] = np.array(inputs.sha256(value), "S64")
                initial[key + "_first"] = value[0, :16]
    return files


def write_npz(path, arrays):
    """Write an .npz whose bytes depend on the arrays only: sorted names, one fixed time."""
    with zipfile.ZipFile(path + ".tmp", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(arrays[name], order="C"))
            info = zipfile.ZipInfo(name + ".npy", (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, member.getvalue())
    os.rename(path + ".tmp", path)


def record_in_processes():
    """Return {file: {name: array}} of both dtypes, each recorded by a process of its own."""
    files, folder = {}, tempfile.mkdtemp()
    try:
        for dtype in ("float32", "float64"):
            flags = FLAGS % {"floatX": dtype, "compiledir": os.path.join(folder, dtype),
                             "libdir": sysconfig.get_config_var("LIBDIR")}
            env = dict(os.environ, THEANO_FLAGS=flags, THEANORC=os.devnull,
                       PYTHONWARNINGS="ignore", **ENVIRONMENT)
            path = os.path.join(folder, dtype + ".npz")
            subprocess.check_call([sys.executable, __file__, "--one", dtype, path], env=env)
            with np.load(path) as recorded:
                for key in recorded.files:
                    file_name, name = key.split("|")
                    files.setdefault(file_name, {})[name] = recorded[key]
    finally:
        shutil.rmtree(folder)
    return files


def provenance():
    """Return the manifest entry that all files of one recording share."""
    import scipy
    from pkg_resources import get_distribution
    cpu = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if "model name" in line]
    compiler = subprocess.check_output(["g++", "--version"]).splitlines()[0]
    libc = subprocess.check_output(["getconf", "GNU_LIBC_VERSION"]).strip()
    return {
        "recorded_by": "reference/record.py under Theano %s, NumPy %s, SciPy %s, Python %s"
                       % (get_distribution("Theano").version, np.__version__, scipy.__version__,
                          platform.python_version()),
        "command": "python record.py",
        "compiler": "%s, -O3; %s; zlib %s" % (compiler, libc, zlib.ZLIB_VERSION),
        "cpu": "%s, %s" % (cpu[0], platform.machine()),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "environment": ENVIRONMENT,
        "theano_flags": FLAGS % {"floatX": "<dtype>", "compiledir": "<empty folder>",
                                 "libdir": "<folder of libpython2.7>"},
    }


def store(files):
    """Write every file and its entry in the manifest; other entries stay as they are."""
    manifest_path = os.path.join(GOLDEN, "MANIFEST.json")
    manifest = {"files": {}}
    if os.path.exists(manifest_path):
        with open(manifest_path) as stream:
            manifest = json.load(stream)
    shared = provenance()
    for name, arrays in sorted(files.items()):
        path = os.path.join(GOLDEN, name)
        if not os.path.isdir(os.path.dirname(path)):
            os.makedirs(os.path.dirname(path))
        write_npz(path, arrays)
        with open(path, "rb") as stream:
            digest = inputs.sha256(np.frombuffer(stream.read(), np.uint8))
        what = WHAT.get(name, "%d training steps of recipe %s: cost, parameters after 1 and %d"
                        % (N_STEPS, os.path.basename(name)[:-4], N_STEPS))
        manifest["files"][name] = dict(shared, sha256=digest, what=what)
        print(digest, name)
    with open(manifest_path + ".tmp", "w") as stream:
        stream.write(json.dumps(manifest, indent=1, sort_keys=True, separators=(",", ": ")) + "\n")
    os.rename(manifest_path + ".tmp", manifest_path)


def compare(name, new, old):
    """Return (same bits, relative difference, acceptable) of an array and the stored one."""
    if new.dtype != old.dtype or new.shape != old.shape:
        return False, np.inf, False
    if new.tobytes() == old.tobytes():
        return True, 0.0, True
    if new.dtype.kind != "f":  # a SHA-256 tells bits apart, those of inputs must be the same
        return False, 0.0, "_after" in name
    new, old = np.asarray(new, np.float64), np.asarray(old, np.float64)
    apart = np.abs(new - old)[new != old]  # leaves out equal infinities
    difference = apart.max() / np.abs(old).max() if apart.size else 0.0
    kind = "float64" if "float64" in name else "float32"
    if name.startswith("network/") and kind == "float32":
        kind = "float32 network"
    return False, difference, difference <= BOUNDS[kind]


def check(files):
    """Print how each file compares with the stored one; return whether all are within bounds."""
    passed = True
    for name, arrays in sorted(files.items()):
        path = os.path.join(GOLDEN, name)
        stored = dict(np.load(path)) if os.path.exists(path) else {}
        failures = ["%s: only stored or only recorded" % key for key in set(arrays) ^ set(stored)]
        n_same, worst = 0, 0.0
        for key in sorted(set(arrays) & set(stored)):
            same, difference, acceptable = compare(name + key, arrays[key], stored[key])
            n_same, worst = n_same + same, max(worst, difference)
            if not acceptable:
                failures.append("%s: other bits, relative difference %.1e" % (key, difference))
        print("%-26s %3d of %3d arrays have the same bits, largest relative difference %.1e%s" % (
            name, n_same, len(stored), worst, ", FAILED" if failures else ""))
        for failure in sorted(failures):
            print("    " + failure)
        passed = passed and not failures
    return passed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--one", nargs=2, metavar=("DTYPE", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        dtype, path = arguments.one
        arrays = dict(("|".join((file_name, name)), array)
                      for file_name, members in record_all(dtype).items()
                      for name, array in members.items())
        write_npz(path, arrays)
    elif arguments.check:
        sys.exit(0 if check(record_in_processes()) else 1)
    else:
        store(record_in_processes())


if __name__ == "__main__":
    main()
