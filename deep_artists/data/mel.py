"""The mel power spectrogram of 2013, and resampling: the formulas of librosa, without its imports.

librosa takes a second to import, most of it for numba. What the front end needs of it is a few
lines; the tests compare every result with librosa's, to the last bit, and the window with SciPy's.
"""

from functools import lru_cache

import numpy as np

SR_HZ = 22050
N_FFT = 512  # samples, the window too
HOP_LENGTH = 128  # samples
N_MELS = 64
FMIN_HZ, FMAX_HZ = 0.0, 8000.0
BLOCK_FRAMES = 1024  # transformed at once, 4 MB

# Slaney's scale.
LINEAR_STEP_HZ = 200 / 3
CORNER_HZ = 1000.0
CORNER_MEL = CORNER_HZ / LINEAR_STEP_HZ
LOG_STEP = np.log(6.4) / 27


def hz_to_mel(hz):
    """Convert frequencies to Slaney's mel scale: linear below 1000 Hz, logarithmic above."""
    hz = np.asarray(hz, np.float64)
    logarithmic = CORNER_MEL + np.log(np.maximum(hz, CORNER_HZ) / CORNER_HZ) / LOG_STEP
    return np.where(hz < CORNER_HZ, hz / LINEAR_STEP_HZ, logarithmic)


def mel_to_hz(mel):
    """Convert positions on Slaney's mel scale to Hz."""
    logarithmic = CORNER_HZ * np.exp(LOG_STEP * (mel - CORNER_MEL))
    return np.where(mel < CORNER_MEL, LINEAR_STEP_HZ * mel, logarithmic)


def mel_filters():
    """Return the mel filter bank: Slaney's scale, 0 to 8000 Hz, triangles of area 1.

    Returns
    -------
    np.ndarray [shape=(64, 257), dtype=float64]
        ``librosa.filters.mel`` with ``htk=False, norm="slaney"``.
    """
    hz = mel_to_hz(np.linspace(hz_to_mel(FMIN_HZ), hz_to_mel(FMAX_HZ), N_MELS + 2))
    ramps = hz[:, None] - np.fft.rfftfreq(N_FFT, 1 / SR_HZ)  # (66, 257)
    width = np.diff(hz)[:, None]
    triangles = np.minimum(-ramps[:-2] / width[:-1], ramps[2:] / width[1:])
    return np.maximum(0, triangles) * (2 / (hz[2:] - hz[:-2]))[:, None]


@lru_cache(maxsize=1)
def sparse_mel_filters():
    from scipy.sparse import csr_array

    return csr_array(mel_filters())


@lru_cache(maxsize=1)
def hann_window():
    """Return ``scipy.signal.windows.hann(512, sym=False)``, whose import takes half a second."""
    return (0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, N_FFT + 1)))[:-1]


def mel_power(y):
    """Compute the mel power spectrogram of 2013.

    Parameters
    ----------
    y : np.ndarray [shape=(n,), dtype=float64]
        Mono audio at 22050 Hz, n >= 512.

    Returns
    -------
    np.ndarray [shape=(64, 1 + (n - 512) // 128), dtype=float64]
        Frames are not centred: 2013 did not pad.

    Examples
    --------
    >>> mel_power(np.zeros(5504)).shape
    (64, 40)
    """
    from scipy.fft import rfft

    frames = np.lib.stride_tricks.sliding_window_view(np.asarray(y, np.float64), N_FFT)
    frames = frames[::HOP_LENGTH]
    power = np.empty((N_FFT // 2 + 1, len(frames)))
    for i in range(0, len(frames), BLOCK_FRAMES):
        spectrum = rfft(frames[i : i + BLOCK_FRAMES] * hann_window(), axis=1)
        # NumPy's abs and BLAS round differently on different processors; this does not.
        power[:, i : i + BLOCK_FRAMES] = (spectrum.real**2 + spectrum.imag**2).T
    return sparse_mel_filters() @ power


def resample(y, sr_hz):
    """Resample to 22050 Hz by soxr's VHQ: ``librosa.resample(res_type="soxr_vhq", scale=False)``.

    Parameters
    ----------
    y : np.ndarray [shape=(n,), dtype=float64]
    sr_hz : int

    Returns
    -------
    np.ndarray [shape=(ceil(n * 22050 / sr_hz),), dtype=float64]
    """
    import soxr  # "HQ" computes in float32

    resampled = soxr.resample(y, sr_hz, SR_HZ, quality="VHQ")
    n = int(np.ceil(len(y) * (float(SR_HZ) / sr_hz)))
    return np.pad(resampled, (0, max(0, n - len(resampled))))[:n]
