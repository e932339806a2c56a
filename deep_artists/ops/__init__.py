"""What PyTensor no longer has, or has with other numbers, as Ops with C code and gradients.

Importing this package imports PyTensor.
"""

import os

# Our graphs need no BLAS: keep PyTensor from looking for one, and from warning of its absence.
if "blas__ldflags" not in os.environ.get("PYTENSOR_FLAGS", ""):
    os.environ["PYTENSOR_FLAGS"] = ",".join(
        filter(None, [os.environ.get("PYTENSOR_FLAGS"), "blas__ldflags="])
    )

# Threads that spin while they wait take the core from the thread they wait for, where cores are
# shared: a factor of 5 was seen. Spin briefly, then sleep.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
