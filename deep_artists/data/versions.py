"""Versions of Python and of the packages that compute: for reports, models and patches."""

import platform
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "deep_artists",
    "pytensor",
    "numpy",
    "scipy",
    "librosa",
    "soundfile",
    "scikit-learn",
    "jax",
)


def get_versions():
    """Return the version of Python and of the packages that compute."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions


@lru_cache(maxsize=1)
def find_versions():
    """Return the versions of the packages that decide the bits of patches."""
    import soundfile

    versions = {name: version(name) for name in ["numpy", "scipy", "librosa", "soxr", "soundfile"]}
    return versions | {"libsndfile": soundfile.__libsndfile_version__}
