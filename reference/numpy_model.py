"""The 2013 network and its training in plain NumPy float64: every gradient written out by hand.

Nothing here is fast and nothing is hidden; it is meant to be checked by eye, and to agree with
Theano 0.6 by itself. Shapes: n patches, f filters, R x C the map after convolution, P x Q after
pooling, m = f * P * Q inputs and h units of the hidden layer, k classes. A patch is a (64, 40)
image, rows are mel bands. `d` before a name means: derivative of the cost with respect to it.

>>> result = train([(np.ones((160, 2560)), np.arange(160) % 20)] * 3, "page", n_epochs=1)
>>> print("%.4f" % result["cost"][0])  # log 20, and the L2 term of the filters
3.0337
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

# A validation_frequency of None is min(n_train_batches, patience // 2).
# `page` draws its minibatches at random; here, as in the recordings, it keeps the stored order.
COLUMNS = [
    "learning_rate",
    "batch_size",
    "n_epochs",
    "nkerns",
    "filter_shape",
    "poolsize",
    "n_hidden",
    "n_out",
    "L2_softmax",
    "L2_conv",
    "patience",
    "validation_frequency",
]
RECIPES = {
    name: dict(zip(COLUMNS, row))
    for name, row in {
        "first": (0.01, 50, 50, 15, (9, 9), (2, 2), 512, 10, 0, 0, 320, None),
        "second": (0.02, 100, 100, 15, (9, 9), (8, 8), 512, 20, 0, 0, 20000, None),
        "third": (0.01, 50, 100, 10, (9, 9), (8, 8), 1024, 20, 0, 0, 20000, 200),
        "last": (0.005, 150, 1000, 10, (33, 11), (16, 10), 1024, 20, 0.002, 0, 80000, 200),
        "page": (0.05, 80, 1000, 10, (33, 11), (16, 10), 1024, 20, 0.002, 0.002, 80000, 200),
    }.items()
}


def initial_parameters(recipe):
    """Return the parameters by name: conv W and hidden W are drawn in this order, the rest is 0."""
    rng = np.random.RandomState(23455)
    f, (kh, kw), (ph, pw) = recipe["nkerns"], recipe["filter_shape"], recipe["poolsize"]
    h, k = recipe["n_hidden"], recipe["n_out"]
    m = f * ((64 - kh + 1) // ph) * ((40 - kw + 1) // pw)
    fan_in, fan_out = 1 * kh * kw, f * kh * kw // (ph * pw)  # 2013: Python 2 divided integers
    conv_bound, hidden_bound = np.sqrt(6.0 / (fan_in + fan_out)), np.sqrt(6.0 / (m + h))
    return {
        "conv_W": rng.uniform(-conv_bound, conv_bound, (f, 1, kh, kw)),
        "conv_b": np.zeros(f),
        "hidden_W": rng.uniform(-hidden_bound, hidden_bound, (m, h)),
        "hidden_b": np.zeros(h),
        "softmax_W": np.zeros((h, k)),
        "softmax_b": np.zeros(k),
    }


def conv2d(x, W):
    """Convolve x (n, 64, 40) with W (f, 1, kh, kw), flipped in both axes: (n, f, R, C)."""
    (f, _, kh, kw), flipped = W.shape, W[:, 0, ::-1, ::-1].reshape(len(W), -1)
    # Not BLAS: einsum adds up every output in the same order, so equal windows give equal sums.
    z = [
        np.einsum("fk,wk->fw", flipped, sliding_window_view(image, (kh, kw)).reshape(-1, kh * kw))
        for image in x
    ]
    return np.reshape(z, (len(x), f, x.shape[1] - kh + 1, x.shape[2] - kw + 1))


def conv2d_gradient(x, dz):
    """Return dW (f, 1, kh, kw) from dz (n, f, R, C)."""
    dW = 0.0
    for image, d in zip(x, dz):
        windows = sliding_window_view(image, d.shape[1:])  # (kh, kw, R, C)
        dW = dW + np.tensordot(d, windows, axes=((1, 2), (2, 3)))
    return dW[:, None, ::-1, ::-1]


def pool_windows(z, poolsize):
    """View z (n, f, R, C) as windows (n, f, P, ph, Q, pw); rows and columns left over are cut."""
    (n, f, R, C), (ph, pw) = z.shape, poolsize
    P, Q = R // ph, C // pw
    return z[:, :, : P * ph, : Q * pw].reshape(n, f, P, ph, Q, pw)


def max_pool_gradient(z, p, dp, poolsize):
    """Return dz: Theano 0.6 gives every cell that equals the maximum the whole of dp."""
    dz = np.zeros_like(z)
    winners = pool_windows(z, poolsize) == p[:, :, :, None, :, None]
    (P, Q), (ph, pw) = p.shape[2:], poolsize
    dz[:, :, : P * ph, : Q * pw] = (winners * dp[:, :, :, None, :, None]).reshape(
        z.shape[:2] + (P * ph, Q * pw)
    )
    return dz


def forward(parameters, x, recipe):
    """Return every intermediate value for x (n, 2560), by name; `logits` is the last."""
    W = parameters
    z = conv2d(x.reshape(-1, 64, 40), W["conv_W"])  # (n, f, R, C)
    p = pool_windows(z, recipe["poolsize"]).max(axis=(3, 5))  # (n, f, P, Q)
    a = p + W["conv_b"][:, None, None]  # bias and ReLU come after the pooling
    u = np.maximum(0, a).reshape(len(x), -1)  # (n, m)
    v = u @ W["hidden_W"] + W["hidden_b"]  # (n, h)
    s = np.maximum(0, v)
    return {
        "z": z,
        "p": p,
        "a": a,
        "u": u,
        "v": v,
        "s": s,
        "logits": s @ W["softmax_W"] + W["softmax_b"],
    }  # (n, k)


def cost_and_gradients(parameters, x, y, recipe):
    """Return the cost on x (n, 2560), y (n,) and its derivative for every parameter, by name."""
    W, n = parameters, len(x)
    t = forward(W, x, recipe)
    shifted = t["logits"] - t["logits"].max(axis=1, keepdims=True)
    total = np.exp(shifted).sum(axis=1, keepdims=True)
    cost = np.mean(np.log(total[:, 0]) - shifted[np.arange(n), y])  # -mean(log p[y])
    cost += recipe["L2_softmax"] * (W["softmax_W"] ** 2).sum()
    cost += recipe["L2_conv"] * (W["conv_W"] ** 2).sum()

    dlogits = np.exp(shifted) / total  # softmax - one hot, over n
    dlogits[np.arange(n), y] -= 1
    dlogits /= n
    # Theano 0.6: maximum(0, v) passes the gradient where v == 0, hence >= and not >.
    dv = (dlogits @ W["softmax_W"].T) * (t["v"] >= 0)
    da = (dv @ W["hidden_W"].T).reshape(t["a"].shape) * (t["a"] >= 0)
    dz = max_pool_gradient(t["z"], t["p"], da, recipe["poolsize"])
    return cost, {
        "conv_W": (
            conv2d_gradient(x.reshape(-1, 64, 40), dz) + 2 * recipe["L2_conv"] * W["conv_W"]
        ),
        "conv_b": da.sum(axis=(0, 2, 3)),
        "hidden_W": t["u"].T @ dv,
        "hidden_b": dv.sum(axis=0),
        "softmax_W": t["s"].T @ dlogits + 2 * recipe["L2_softmax"] * W["softmax_W"],
        "softmax_b": dlogits.sum(axis=0),
    }


def error(parameters, dataset, recipe):
    """Return the mean over the full minibatches of the share of patches classed wrongly."""
    (x, y), B = dataset, recipe["batch_size"]
    errors = [
        np.mean(forward(parameters, x[i : i + B], recipe)["logits"].argmax(axis=1) != y[i : i + B])
        for i in range(0, len(x) - B + 1, B)
    ]
    return np.mean(errors)


def train(datasets, name, n_epochs=None, n_iterations=None, snapshots=()):
    """Train recipe `name` on [train, valid, test], each (x, y), as the program of 2013 did.

    Stops after `n_epochs` (the recipe's own if None), after `n_iterations` if given, or when
    patience runs out. Returns a dict: `cost`, an array with the cost of each iteration before its
    update; `log`, the printed lines as one string; `parameters`; `after`, a dict with the
    parameters after as many updates as each of `snapshots` says.
    """
    recipe = RECIPES[name]
    (x, y), valid, test = [(np.asarray(x, np.float64), y) for x, y in datasets]
    B = recipe["batch_size"]
    n_epochs = recipe["n_epochs"] if n_epochs is None else n_epochs
    n_train_batches = len(x) // B
    patience, best, best_iter, test_error = recipe["patience"], np.inf, 0, 0.0
    validation_frequency = recipe["validation_frequency"] or min(n_train_batches, patience // 2)
    parameters, cost, after = initial_parameters(recipe), [], {}
    log = ["... loading data", "... building the model", "... training"]

    for iteration in range(n_epochs * n_train_batches):
        epoch, i = iteration // n_train_batches + 1, iteration % n_train_batches
        if iteration % 100 == 0:
            log.append(f"training @ iter =  {iteration}")
        rows = slice(i * B, (i + 1) * B)
        batch_cost, gradients = cost_and_gradients(parameters, x[rows], y[rows], recipe)
        parameters = {
            name: value - recipe["learning_rate"] * gradients[name]
            for name, value in parameters.items()
        }
        cost.append(batch_cost)
        if iteration + 1 in snapshots:
            after[iteration + 1] = parameters

        if (iteration + 1) % validation_frequency == 0:
            place = f"epoch {epoch}, minibatch {i + 1}/{n_train_batches}, "
            valid_error = error(parameters, valid, recipe)
            log.append(place + f"validation error {100 * valid_error:f} %")
            if valid_error < best:
                if valid_error < best * 0.995:
                    patience = max(patience, iteration * 2)
                best, best_iter = valid_error, iteration
                test_error = error(parameters, test, recipe)
                log.append("     " + place + "test error of best model %f %%" % (100 * test_error))
        if patience <= iteration or iteration + 1 == n_iterations:
            break

    log += [
        "Optimization complete.",
        f"Best validation score of {100 * best:f} % obtained at iteration {best_iter + 1},with "
        f"test performance {100 * test_error:f} %",
        "",
    ]
    return {"cost": np.array(cost), "log": "\n".join(log), "parameters": parameters, "after": after}
