"""The Ops on a device of JAX. Importing this package is cheap; importing its modules imports jax."""
