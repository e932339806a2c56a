// All kernels and their handlers in one unit: XLA's header takes longer than they do.

#include "conv2d.cu"
#include "conv_pool.cu"
#include "dot.cu"
#include "max_pool.cu"
#include "sigmoid.cu"
#include "softmax.cu"
