"""Audio file -> mel patches: the front end of the 2013 program.

Audio is mono at 22050 Hz, amplitudes in -1 .. 1, and only the last 30 s count, as in 2013, unless
the whole is asked for (``clip="all"``). Its mel power
spectrogram, without logarithm or normalisation, is cut into patches of 64 bands x 40 frames
(0.232 s). A patch is a row of 2560 float32, mel-major: ``row.reshape(64, 40)[mel, frame]``.
All is computed in float64 and rounded to float32 at the end. BLAS is not used, because its bits
differ from one processor to another.
"""

from __future__ import annotations

import math
import os
import sys
import threading
from contextlib import contextmanager

import numpy as np

from .mel import FMAX_HZ, FMIN_HZ, HOP_LENGTH, N_FFT, N_MELS, SR_HZ, mel_power, resample

N_FRAMES = 40
PATCH_SIZE = N_MELS * N_FRAMES
CLIP_S = 30
CLIPS = {"last30": CLIP_S, "all": None}  # seconds from the end; None: the whole recording
MIN_SAMPLES = N_FFT + (N_FRAMES - 1) * HOP_LENGTH  # one patch
RES_TYPE = "soxr_vhq"  # that of `mel.resample`
RESAMPLE_MARGIN_S = 1  # resampled before the clip and cut off: the resampler needs a run-up

SETTINGS = dict(sr_hz=SR_HZ, clip_s=CLIP_S, n_fft=N_FFT, hop_length=HOP_LENGTH, window="hann")
SETTINGS |= dict(center=False, power=2.0, n_mels=N_MELS, fmin_hz=FMIN_HZ, fmax_hz=FMAX_HZ)
SETTINGS |= dict(htk=False, norm="slaney", n_frames=N_FRAMES)
SETTINGS |= dict(res_type=RES_TYPE, resample_margin_s=RESAMPLE_MARGIN_S)

# libsndfile decodes the first line. Of the others it may refuse a file, which is then reported.
AUDIO_SUFFIXES = (
    *".aif .aiff .au .caf .flac .mp3 .oga .ogg .opus .w64 .wav".split(),
    *".aac .ac3 .aifc .alac .amr .ape .dff .dsf .m4a .m4b .mka".split(),
    *".mp2 .mpc .ra .spx .tta .wma .wv".split(),
)
MIN_SOURCE_SR_HZ, MAX_SOURCE_SR_HZ = 1_000, 768_000
BLOCK_PATCHES = 1024  # cut at a time, four minutes
BLOCK_VALUES = 2**24  # samples decoded at a time, 128 MiB: six minutes at 22050 Hz stereo


class AudioError(ValueError):
    """Audio that cannot become patches; the message names the file."""


def make_settings(clip="last30"):
    """Return what decides the patches of a recording, as a dict that JSON can hold.

    >>> make_settings() == SETTINGS, make_settings("all")["clip_s"]
    (True, None)
    """
    if clip not in CLIPS:
        raise ValueError(f"clip = {clip!r}; there are {', '.join(CLIPS)}")
    return SETTINGS | {"clip_s": CLIPS[clip]}


def extract_patches(
    audio: str | os.PathLike | np.ndarray, sr: int | None = None, clip: str = "last30"
) -> np.ndarray:
    """Cut a recording, or the last 30 s of it, into mel patches.

    Parameters
    ----------
    audio : str, os.PathLike or np.ndarray [shape=(n,) or (channels, n)]
        A file that soundfile reads (wav, flac, ogg, mp3, ...), or samples: float, or signed
        integers, which are divided by their full scale (32768 for int16), as in 2013. Channels
        are averaged.
    sr : int, optional
        Sample rate of an array in Hz, 1000 to 768000; 22050 if not given. Audio of another rate
        is resampled. A file has its own.
    clip : {'last30', 'all'}
        The last 30 s, as in 2013, or the whole recording.

    Returns
    -------
    np.ndarray [shape=(n_patches, 2560), dtype=float32]
        In time order; 129 for 30 s. Frames that do not fill a patch are dropped.

    Raises
    ------
    AudioError
        If the file cannot be decoded, the sample rate is out of range, a sample is NaN or
        infinite, or fewer than 5504 samples at 22050 Hz (one patch) are there.

    Examples
    --------
    >>> extract_patches(np.zeros(31 * 22050)).shape
    (129, 2560)
    """
    if isinstance(audio, (str, os.PathLike)):
        if sr is not None:
            raise TypeError(f"sr = {sr!r} is given for a file, which has its own: leave it out")
        return extract_file(audio, clip)[0]
    sr, clip_s = SR_HZ if sr is None else sr, make_settings(clip)["clip_s"]
    return _cut(_clip(_average(np.asarray(audio)), sr, clip_s, "audio array"), "audio array")


def extract_file(path, clip="last30"):
    """Cut an audio file, or the last 30 s of it, into mel patches, and say what it was.

    Parameters
    ----------
    path : str or os.PathLike
    clip : {'last30', 'all'}

    Returns
    -------
    patches : np.ndarray [shape=(n_patches, 2560), dtype=float32]
    facts : dict
        ``source_sr_hz`` int, ``source_channels`` int, ``resampled`` bool, ``used_s``, the
        seconds that were there to cut, at most 30 if the clip is the last 30 s, and ``tags``, the
        ``artist`` and ``album`` that the file names, or "".

    Raises
    ------
    AudioError
        As `extract_patches` does.
    """
    clip_s = make_settings(clip)["clip_s"]
    y, sr, channels, tags = _read(path, clip_s)
    y = _clip(y, sr, clip_s, path)
    facts = dict(source_sr_hz=sr, source_channels=channels, resampled=sr != SR_HZ, tags=tags)
    return _cut(y, path), facts | dict(used_s=len(y) / SR_HZ)


def _average(y):
    """Return the float64 mean of the channels."""
    if y.ndim not in (1, 2) or y.dtype.kind not in "fi":
        raise TypeError(
            f"audio array has shape {y.shape} and dtype {y.dtype}; float or signed integer samples "
            "of shape (n,) or (channels, n) are needed"
        )
    if y.dtype.kind == "i":
        y = y / -float(np.iinfo(y.dtype).min)
    with np.errstate(invalid="ignore"):  # inf - inf is reported by _clip
        return np.atleast_2d(y).mean(axis=0, dtype=np.float64)


_one_at_a_time = threading.Lock()


@contextmanager
def _quiet_decoder():
    """Keep from stderr what libmpg123 prints of a damaged file: the file's own error says it."""
    with _one_at_a_time:  # stderr belongs to the whole process
        sys.stderr.flush()
        kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(null)


def _read(path, clip_s):
    """Decode a file block by block, and return the end of it, its sample rate, channels and tags.

    The end is mono, and long enough for the clip with the margin that resampling needs.
    """
    import soundfile

    if not os.path.isfile(path):
        raise AudioError(f"{path}: no such file; the path of an audio file is needed")
    try:
        # Absolute: to libsndfile '-' is the standard input. Bytes: names need not be UTF-8.
        with _quiet_decoder(), soundfile.SoundFile(os.fsencode(os.path.abspath(path))) as file:
            sr, channels = file.samplerate, file.channels
            if file.format == "RAW":  # libsndfile goes by the name where it knows no header
                raise AudioError(
                    f"{path}: has no header that says what it holds; convert it to FLAC"
                )
            tags = {"artist": file.artist.strip(), "album": file.album.strip()}
            step, n_needed = _resampling_grid(sr, clip_s, path)
            blocks, n_read = [np.zeros(0)], 0
            # Read to the end: the length in the header may be wrong.
            while len(x := file.read(BLOCK_VALUES // channels, "float64", always_2d=True)):
                n_read += len(x)
                blocks.append(_average(x.T))
                if n_needed is not None:
                    blocks = [np.concatenate(blocks)[-(n_needed + step) :]]
    except (soundfile.SoundFileError, OSError) as error:
        reason = getattr(error, "error_string", "") or error
        raise AudioError(
            f"{path}: cannot be decoded as audio ({reason}); it must be whole, of the kind its "
            "name says, and hold only sound (no cover picture in Ogg); else convert it to FLAC"
        ) from error
    y = np.concatenate(blocks)
    return y[(len(y) - n_read) % step :], sr, channels, tags


def _resampling_grid(sr, clip_s, name):
    """Return two numbers of input samples: the step, and how many are needed; None: all.

    Input and output samples coincide once in every step, so a clip that begins on a multiple of
    the step is resampled as the whole recording would be.
    """
    if not MIN_SOURCE_SR_HZ <= sr <= MAX_SOURCE_SR_HZ or sr != int(sr):
        bounds = f"{MIN_SOURCE_SR_HZ} to {MAX_SOURCE_SR_HZ}"
        raise AudioError(f"{name}: sample rate is {sr} Hz; a whole number, {bounds}, is needed")
    margin_s = 0 if sr == SR_HZ else RESAMPLE_MARGIN_S
    n_needed = None if clip_s is None else (clip_s + margin_s) * int(sr)
    return int(sr) // math.gcd(int(sr), SR_HZ), n_needed


def _clip(y, sr, clip_s, name):
    """Return the last seconds, or all, at 22050 Hz.

    What lies before them, but for a margin, is dropped first, so that it is not resampled.
    """
    step, n_needed = _resampling_grid(sr, clip_s, name)
    if n_needed is not None:
        y = y[max(0, len(y) - n_needed) // step * step :]
    if not np.isfinite(y).all():
        raise AudioError(f"{name}: {np.sum(~np.isfinite(y))} samples are NaN or infinite")
    n = math.ceil(len(y) * SR_HZ / sr)
    if n < MIN_SAMPLES:
        raise AudioError(
            f"{name}: {n} samples at {SR_HZ} Hz ({n / SR_HZ:.3f} s) are shorter than one patch; "
            f"{MIN_SAMPLES} ({MIN_SAMPLES / SR_HZ:.3f} s) are needed"
        )
    if sr != SR_HZ:
        y = resample(y, sr)
    return y if clip_s is None else y[-clip_s * SR_HZ :]


def _cut(y, name):
    """Return the patches of audio at 22050 Hz: (n_patches, 2560) float32."""
    step = N_FRAMES * HOP_LENGTH
    n_patches = (len(y) - N_FFT + HOP_LENGTH) // step
    patches = np.empty((n_patches, PATCH_SIZE), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # reported below
        for i in range(0, n_patches, BLOCK_PATCHES):
            n = min(BLOCK_PATCHES, n_patches - i)
            mel = mel_power(y[i * step :][: n * step - HOP_LENGTH + N_FFT])
            mel = mel[:, : n * N_FRAMES].reshape(N_MELS, n, N_FRAMES).transpose(1, 0, 2)
            patches[i : i + n] = mel.reshape(n, PATCH_SIZE)
    if not np.isfinite(patches).all():
        peak = np.abs(y).max()
        raise AudioError(f"{name}: amplitudes up to {peak:g} overflow float32; scale to -1 .. 1")
    return patches
