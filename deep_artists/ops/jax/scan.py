"""Call a compiled function on its device: once, or for many minibatches in a single scan."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

SAME_BITS = {"xla_gpu_deterministic_ops": True}  # of XLA's own code, on every run


def keep_on_device(function):
    """Move the shared variables of a function to its device, where they are not there yet.

    PyTensor would upload those that have no update at every call. What `set_value` brings later
    comes to the device with the next `call` or `call_each`.
    """
    for variable in function.get_shared():
        storage = variable.container.storage
        if not isinstance(storage[0], jax.Array):
            storage[0] = jax.device_put(storage[0], function.vm.jit_fn.device)


def call_each(function, indices):
    """Call a function of a minibatch index for every index of a range, on the device.

    The host waits once, at the end: the calls are scanned, in powers of two so that few lengths
    are compiled. An interrupt leaves the shared variables as they were before the first call.

    Parameters
    ----------
    function : function of one int
        Made by `linker.compile_function`.
    indices : range

    Returns
    -------
    np.ndarray [shape=(len(indices),)]
        The first output of every call.
    """
    keep_on_device(function)
    storages = function.vm.inputs  # of the index, then of the shared variables
    updates = function.maker.fgraph.update_mapping  # output -> input, both by number
    jitted = function.vm.jit_fn
    scan = compile_scan(jitted.step, tuple(updates.items()))
    values = {i: storage[0] for i, storage in enumerate(storages) if i}
    found, at = [], indices.start
    while at < indices.stop:
        n = 1 << (indices.stop - at).bit_length() - 1
        first = jax.device_put(np.int64(at), jitted.device)
        updated, outputs = scan(n, first, values)
        values |= updated
        found.append(outputs)
        at += n
    found = np.concatenate(jax.device_get(found))
    for i in updates.values():
        storages[i][0] = values[i]
    return found


def call(function, index):
    """Call a function of a minibatch index once, with what `set_value` brought on the device."""
    keep_on_device(function)
    return np.asarray(function(index))  # waits: what was uploaded may change after the call


@lru_cache(maxsize=16)  # each holds a compiled function
def compile_scan(step, updates):
    """Return f(n, first, values) -> (values that n steps update, the n first outputs).

    updates : tuple of (output, input), both by number
    """

    def scan(n, first, values):
        def take_step(updated, index):
            inputs = {0: index, **values, **updated}
            outputs = step(*(inputs[i] for i in range(len(inputs))))
            return {i: outputs[o] for o, i in updates}, outputs[0]

        updated = {i: values[i] for _, i in updates}
        return jax.lax.scan(take_step, updated, first + jnp.arange(n))

    return jax.jit(scan, static_argnums=0, compiler_options=SAME_BITS)
