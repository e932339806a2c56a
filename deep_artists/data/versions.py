"""Versions of Python, of packages and of this program: for reports, models and patches."""

import platform
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .. import __version__

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
    return versions | {"deep_artists": __version__}


@lru_cache(maxsize=1)
def find_versions():
    """Return the versions of the packages that decide the bits of patches."""
    import soundfile

    versions = {name: version(name) for name in ["numpy", "scipy", "librosa", "soxr", "soundfile"]}
    return versions | {"libsndfile": soundfile.__libsndfile_version__}


def get_revision():
    """Return the git revision of the clone this runs from, marked where files are changed."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    command = [
        "git",
        "-C",
        str(folder),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ]
    return run(command) or None


def run(command):
    """Return what a command prints, or nothing where it fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
