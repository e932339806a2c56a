"""The Ops on a device of JAX: this package imports nothing, its modules import jax."""
