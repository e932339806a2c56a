"""Mel patches of a clip, compared with those of librosa in 2013."""

import soundfile

from ..data.mel import mel_filters, mel_power
from ..data.patches import extract_patches
from ..reference import golden
from .compare import Rung, entrywise, relative, unequal


def list_rungs():
    """Return the one rung of the front end."""
    return [Rung("frontend", "librosa of 2013-07-01", check_frontend)]


def check_frontend():
    recorded, clip = golden.load("frontend/clip.npz"), golden.path("frontend/clip.wav")
    y, _ = soundfile.read(clip, dtype="float64")
    # The same formulas in float64. Measured: 1.2e-15.
    yield "mel filter bank", 1e-14, relative(mel_filters(), recorded["mel_basis"])
    # Sums of positive terms, so every entry is close; 0 in digital silence. Measured: 2e-14.
    yield "mel power, each entry", 1e-13, entrywise(mel_power(y), recorded["mel"])
    # A last bit turns where the float64 value lies between two float32. Measured: none.
    patches, theirs = extract_patches(clip), recorded["patches"]
    yield "patches, share of other entries", 1e-4, unequal(patches, theirs) / theirs.size
    # One unit in the last place is 1.2e-7 at most.
    yield "patches, each entry", 1.2e-7, entrywise(patches, theirs)
