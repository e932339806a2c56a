"""Ops that PyTensor dropped, or computes differently from Theano 0.6, with kernels of our own."""
