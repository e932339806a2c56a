"""Audio -> constant-Q frames, as the talk's systems of 2013 take them.

8 octaves of 24 bins from 27.5 Hz (A0), magnitudes. 2013 had 20 frames a second; here a hop is a
power of two, as librosa's transform likes it: 1024 samples at 22050 Hz are 21.5 frames a second.
"""

import os

import numpy as np

from ..patches import AudioError

SR_HZ = 22050
HOP_LENGTH = 1024  # samples
FMIN_HZ = 27.5
BINS_PER_OCTAVE, N_OCTAVES = 24, 8
N_BINS = BINS_PER_OCTAVE * N_OCTAVES


def read_audio(path):
    """Read a sound file, mono at 22050 Hz.

    Parameters
    ----------
    path : str or os.PathLike

    Returns
    -------
    np.ndarray [shape=(n,)], float32

    Raises
    ------
    AudioError
        If the file is missing, damaged or empty, or a sample is not finite.
    """
    import librosa
    import soundfile

    if not os.path.isfile(path):
        raise AudioError(f"{path}: no such file; the path of a sound file is needed")
    try:
        y, sr = soundfile.read(os.fsencode(os.path.abspath(path)), dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise AudioError(f"{path}: cannot be decoded as audio ({error})") from error
    y = y.mean(axis=1)
    if not len(y) or not np.isfinite(y).all():
        raise AudioError(f"{path}: is empty, or has samples that are NaN or infinite")
    return y if sr == SR_HZ else librosa.resample(y, orig_sr=sr, target_sr=SR_HZ)


def extract_cqt(
    y,
    sr=SR_HZ,
    hop_length=HOP_LENGTH,
    fmin_hz=FMIN_HZ,
    bins_per_octave=BINS_PER_OCTAVE,
    n_octaves=N_OCTAVES,
    tuning=0.0,
):
    """Return constant-Q magnitudes, one frame a row.

    Parameters
    ----------
    y : np.ndarray [shape=(n,)]
        Mono audio.
    sr : int
        Hz.
    hop_length : int
        Samples.
    fmin_hz : float
        Of row 0.
    bins_per_octave, n_octaves : int
    tuning : float or None
        Deviation from 440 Hz in bins; None: estimate it.

    Returns
    -------
    np.ndarray [shape=(1 + n // hop_length, bins_per_octave * n_octaves)], float32

    Raises
    ------
    AudioError
        If y is no mono audio of finite samples, or the highest bins lie above sr / 2.
    """
    import warnings

    import librosa

    y = np.asarray(y)
    if y.ndim != 1 or not len(y) or y.dtype.kind != "f" or not np.isfinite(y).all():
        raise AudioError(
            f"audio of shape {y.shape}, {y.dtype}; mono float samples, all finite, are needed"
        )
    highest = fmin_hz * 2**n_octaves
    if sr < 2 * highest:
        raise AudioError(f"sr = {sr} Hz; at least {2 * highest:.0f} Hz are needed: resample first")
    with warnings.catch_warnings():
        # Audio shorter than the lowest filter is padded with silence, which is as it should be.
        warnings.filterwarnings("ignore", message="n_fft=")
        cqt = librosa.cqt(
            y.astype(np.float32, copy=False),
            sr=sr,
            hop_length=hop_length,
            fmin=fmin_hz,
            n_bins=bins_per_octave * n_octaves,
            bins_per_octave=bins_per_octave,
            tuning=tuning,
        )
    return np.ascontiguousarray(np.abs(cqt).T)
