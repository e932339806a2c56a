"""The step in JAX, one jitted function that gives its memory back to itself, or a scan of a block.
Filters are stored flipped: XLA's convolution does not flip."""

import os
from functools import partial

import numpy as np
from worker import BLOCK, serve


def build(settings, x, y):
    # XLA makes its threads by the cores that it may run on.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: settings["threads"]])
    import jax
    import jax.numpy as jnp
    from jax import lax

    jax.config.update("jax_enable_x64", settings["floatX"] == "float64")
    jax.config.update("jax_default_matmul_precision", "highest")
    jax.devices("cuda" if settings["device"] == "cuda" else "cpu")  # an error where there is none
    recipe, batch_size = settings["recipe"], settings["recipe"]["batch_size"]
    window = (1, 1, *recipe["poolsize"])
    x, y = jnp.asarray(x.reshape(-1, 1, 64, 40)), jnp.asarray(y, "int32")
    params = {}

    def compute_cost(params, x, y):
        z = lax.conv_general_dilated(x, params["conv_W"], (1, 1), "VALID")
        p = lax.reduce_window(z, -jnp.inf, lax.max, window, window, "VALID")
        h = jax.nn.relu(p + params["conv_b"][:, None, None]).reshape(batch_size, -1)
        h = jax.nn.relu(h @ params["hidden_W"] + params["hidden_b"])
        log_p = jax.nn.log_softmax(h @ params["softmax_W"] + params["softmax_b"])
        cost = -jnp.mean(log_p[jnp.arange(batch_size), y])
        cost += recipe["L2_softmax"] * jnp.sum(params["softmax_W"] ** 2)
        return cost + recipe["L2_conv"] * jnp.sum(params["conv_W"] ** 2)

    def update(params, x, y, index):
        xs = lax.dynamic_slice_in_dim(x, index * batch_size, batch_size)
        ys = lax.dynamic_slice_in_dim(y, index * batch_size, batch_size)
        cost, gradients = jax.value_and_grad(compute_cost)(params, xs, ys)
        step = lambda p, g: p - recipe["learning_rate"] * g
        return cost, jax.tree.map(step, params, gradients)

    update_once = jax.jit(update, donate_argnums=0)

    @partial(jax.jit, donate_argnums=0)
    def update_block(params, x, y):
        def take_step(params, index):
            cost, new = update(params, x, y, index)
            return new, cost

        return lax.scan(take_step, params, jnp.arange(BLOCK) % (len(x) // batch_size))

    def set_values(values):
        for name, value in values.items():
            params[name] = jnp.array(value[:, :, ::-1, ::-1] if name == "conv_W" else value)

    def train_model(index):
        cost, new = update_once(params, x, y, index)
        params.update(new)
        return float(jax.block_until_ready((cost, new))[0])

    def take_steps(n):
        for _ in range(n // BLOCK):
            new, costs = update_block(params, x, y)
            params.update(new)
            np.asarray(costs)

    version = f"JAX {jax.__version__}"
    if settings["variant"] == "block":
        return train_model, set_values, version, take_steps
    return train_model, set_values, version


if __name__ == "__main__":
    serve(build)
