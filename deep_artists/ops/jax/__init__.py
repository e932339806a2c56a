"""The Ops on a device of JAX. Importing a module of this folder but not the folder imports jax."""
