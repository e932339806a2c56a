"""The step in Theano: 0.6rc3 under Python 2.7 or 1.0.5 under Python 3.8.

Both get -march=native, with two threads or more ``openmp``, and for ``dot`` NumPy's own OpenBLAS,
which its wheel brings; 1.0.5 uses it for the convolution too. Its pool has one thread: beside
OpenMP's it would only be in the way.
"""

import glob
import os
import sys
import sysconfig

import numpy as np
import numpy.distutils.__config__  # Theano 0.6 expects to find it there
from worker import serve


def set_flags(settings):
    """Set THEANO_FLAGS, which Theano reads once, when it is imported."""
    numpy_folder = os.path.dirname(np.__file__)
    libraries = glob.glob(os.path.join(numpy_folder, ".libs", "libopenblas*"))
    libraries += glob.glob(os.path.join(numpy_folder + ".libs", "libopenblas*"))
    folder, library = os.path.split(libraries[0])
    cxxflags = "-L" + sysconfig.get_config_var("LIBDIR")
    if sys.version_info[0] == 2:  # Theano 0.6 writes the C++ of its time
        cxxflags += " -std=gnu++98 -fpermissive -w -march=native"
    os.environ["THEANO_FLAGS"] = ",".join([
        "floatX=" + settings["floatX"],
        "mode=Mode,device=cpu,warn.ignore_bug_before=all",
        "openmp=" + str(settings["threads"] > 1),
        "base_compiledir=" + os.path.join(sys.prefix, "compiledir"),
        "blas.ldflags=-L%s -l:%s" % (folder, library),  # at run time NumPy has loaded it
        "gcc.cxxflags=" + cxxflags,
    ])
    os.environ["THEANORC"] = os.devnull


def build(settings, x, y):
    set_flags(settings)
    import theano
    import theano.tensor as T
    try:
        from theano.tensor.nnet import conv2d
        from theano.tensor.signal.pool import pool_2d
    except ImportError:
        from theano.tensor.nnet.conv import conv2d
        from theano.tensor.signal.downsample import max_pool_2d as pool_2d

    recipe, floatX = settings["recipe"], settings["floatX"]
    batch_size, filter_shape = recipe["batch_size"], settings["filter_shape"]
    ndims = dict(conv_W=4, conv_b=1, hidden_W=2, hidden_b=1, softmax_W=2, softmax_b=1)
    params = dict((name, theano.shared(np.zeros((1,) * n, floatX), name))
                  for name, n in ndims.items())
    index = T.lscalar("index")
    rows = slice(index * batch_size, (index + 1) * batch_size)
    batch_x = theano.shared(x, borrow=True)[rows]
    batch_y = T.cast(theano.shared(y.astype(floatX)), "int32")[rows]

    z = conv2d(batch_x.reshape((batch_size, 1, 64, 40)), params["conv_W"],
               image_shape=(batch_size, 1, 64, 40), filter_shape=filter_shape)
    p = pool_2d(z, tuple(recipe["poolsize"]), ignore_border=True)
    h = T.maximum(0, p + params["conv_b"].dimshuffle("x", 0, "x", "x")).flatten(2)
    h = T.maximum(0, T.dot(h, params["hidden_W"]) + params["hidden_b"])
    p_y_given_x = T.nnet.softmax(T.dot(h, params["softmax_W"]) + params["softmax_b"])
    cost = -T.mean(T.log(p_y_given_x)[T.arange(batch_size), batch_y])
    cost = cost + recipe["L2_softmax"] * (params["softmax_W"] ** 2).sum()
    cost = cost + recipe["L2_conv"] * (params["conv_W"] ** 2).sum()

    learning_rate = np.asarray(recipe["learning_rate"], floatX)
    updates = [(param, param - learning_rate * T.grad(cost, param)) for param in params.values()]
    train_model = theano.function([index], cost, updates=updates)

    def set_values(values):
        for name, value in values.items():
            params[name].set_value(value)

    return train_model, set_values, "Theano " + theano.__version__


if __name__ == "__main__":
    serve(build)
