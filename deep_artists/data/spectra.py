"""Audio file -> magnitude spectra: the front end of Sigtia and Dixon (2014).

Audio is mono at 22050 Hz, amplitudes in -1 .. 1, and only the first 30 s count; shorter audio is
filled up with zeros. Frames of 1024 samples every 512, neither windowed nor centred, give 513
magnitudes of their Fourier transform, as they are: no logarithm, no scaling. The variant of the
later reproduction ("hann") windows the frames and does not fill up; it also standardises, see
`measure_scaling`.

The spectra of many tracks lie in one file of float32, which is mapped and never read whole.
"""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .files import find_files, new_file
from .mapped import read_pieces
from .patches import AUDIO_SUFFIXES, MAX_SOURCE_SR_HZ, MIN_SOURCE_SR_HZ, RES_TYPE, SR_HZ, AudioError
from .tracks import Track

N_FFT, HOP_LENGTH, CLIP_S = 1024, 512, 30
N_BINS = N_FFT // 2 + 1
N_SAMPLES = CLIP_S * SR_HZ
MARGIN_S = 1  # read beyond the clip, so that the resampler's end lies outside it
LARGEST_FACTOR = 20.0  # of a standardised bin; bins that hardly vary are put to 0


class Spectra(NamedTuple):
    """The spectra of tracks, one after another."""

    x: np.ndarray  # (frames, 513) float32, mapped
    ends: np.ndarray  # of each track, in frames
    names: list  # of the tracks that could be read
    failed: list  # of (name, reason)

    def track(self, i):
        """Return the frames of a track."""
        return self.x[self.ends[i - 1] if i else 0 : self.ends[i]]


def compute_spectrum(y, window=None):
    """Return the magnitudes of a signal's short-time Fourier transform.

    Parameters
    ----------
    y : np.ndarray [shape=(n,)]
        Mono audio, amplitudes in -1 .. 1.
    window : {None, 'hann'}
        'hann': a symmetric Hann window, and the last whole frames are left out, as the
        reproduction of the system did: 1288 frames of 30 s instead of 1290.

    Returns
    -------
    np.ndarray [shape=(frames, 513), dtype=float32]

    Examples
    --------
    >>> compute_spectrum(np.ones(2048))[:, :2].tolist()
    [[1024.0, 0.0], [1024.0, 0.0], [1024.0, 0.0]]
    """
    y = np.asarray(y, np.float64)
    n_frames = (len(y) - HOP_LENGTH) // HOP_LENGTH
    if window == "hann":
        n_frames = (len(y) - N_FFT) // HOP_LENGTH - 1
    if n_frames < 1:
        return np.zeros((0, N_BINS), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(y, N_FFT)[::HOP_LENGTH][:n_frames]
    if window == "hann":
        frames = frames * np.hanning(N_FFT)
    transform = np.fft.rfft(frames)
    return np.sqrt(transform.real**2 + transform.imag**2).astype(np.float32)


def read_start(path):
    """Return the first 30 s of a sound file, or less: mono float64 at 22050 Hz.

    Channels are averaged. 16-bit files of 22050 Hz give exactly samples / 32768; others are
    resampled.

    Raises
    ------
    AudioError
        If the file cannot be decoded, is empty, or has samples that are not finite.
    """
    import soundfile

    try:
        with soundfile.SoundFile(os.fsencode(os.path.abspath(path))) as file:
            sr = file.samplerate
            if not MIN_SOURCE_SR_HZ <= sr <= MAX_SOURCE_SR_HZ:
                raise AudioError(
                    f"{path}: sample rate is {sr} Hz; {MIN_SOURCE_SR_HZ} to "
                    f"{MAX_SOURCE_SR_HZ} is needed"
                )
            y = file.read((CLIP_S + MARGIN_S) * sr, "float64", always_2d=True).mean(axis=1)
    except (soundfile.SoundFileError, OSError) as error:
        reason = getattr(error, "error_string", "") or error
        raise AudioError(
            f"{path}: cannot be decoded as audio ({reason}); it must be whole and of "
            "the kind its name says"
        ) from error
    if not len(y) or not np.isfinite(y).all():
        raise AudioError(
            f"{path}: holds {len(y)} samples, {np.sum(~np.isfinite(y))} of them not "
            "finite; sound is needed"
        )
    if sr != SR_HZ:
        import librosa

        y = librosa.resample(
            y, orig_sr=sr, target_sr=SR_HZ, res_type=RES_TYPE, fix=True, scale=False, axis=-1
        )
    return y[:N_SAMPLES]


def read_spectrum(path, window=None):
    """Return the spectrum of a sound file's first 30 s; without a window filled up with zeros."""
    y = read_start(path)
    if window is None:
        y = np.pad(y, (0, N_SAMPLES - len(y)))
    spectrum = compute_spectrum(y, window)
    if not len(spectrum):
        raise AudioError(f"{path}: {len(y) / SR_HZ:.3f} s are shorter than a frame")
    return spectrum


def _try_spectrum(path, window):
    """Return the spectrum, or why there is none."""
    try:
        return read_spectrum(path, window)
    except AudioError as error:
        return str(error)


def extract_spectra(folder, names, out, window=None, jobs=1, say=None):
    """Write the spectra of sound files into one file, and map it.

    Parameters
    ----------
    folder : str or path
    names : list of str
        Sound files under it, in the order wanted.
    out : str or path
        The file written: float32, without a header.
    window : {None, 'hann'}
        See `compute_spectrum`.
    jobs : int
        Processes; -1: one per core.
    say : callable, optional
        Called with a line for every file that is left out.

    Returns
    -------
    Spectra

    Raises
    ------
    ValueError
        If no file could be read.
    """
    from joblib import Parallel, delayed

    spectra = Parallel(n_jobs=jobs, return_as="generator")(
        delayed(_try_spectrum)(os.path.join(folder, name), window) for name in names
    )
    lengths, done, failed = [], [], []
    with new_file(out) as file:
        for name, spectrum in zip(names, spectra):
            if isinstance(spectrum, str):
                failed.append((name, spectrum))
                if say is not None:
                    say(f"left out {name}: {spectrum}")
                continue
            file.write(spectrum.tobytes())
            lengths.append(len(spectrum))
            done.append(name)
    if not done:
        raise ValueError(f"{folder}: none of {len(names)} files could be read as sound")
    x = np.memmap(out, np.float32, "r").reshape(-1, N_BINS)
    return Spectra(x, np.cumsum(lengths), done, failed)


def measure_scaling(x):
    """Return the mean and the factor that standardise every bin of the training frames.

    Parameters
    ----------
    x : np.ndarray [shape=(frames, bins)]
        Read piece by piece.

    Returns
    -------
    mean, factor : np.ndarray [shape=(bins,), dtype=float64]
        (x - mean) * factor has mean 0 and standard deviation 1; bins with a factor of 20 or more
        get 0, as in the reproduction.

    Examples
    --------
    >>> measure_scaling(np.array([[1.0, 5.0], [3.0, 5.0]]))
    (array([2., 5.]), array([1., 0.]))
    """
    mean = sum(piece.sum(axis=0, dtype=np.float64) for piece in read_pieces(x)) / len(x)
    variance = sum(((piece - mean) ** 2).sum(axis=0) for piece in read_pieces(x)) / len(x)
    small = variance <= LARGEST_FACTOR**-2.0
    return mean, np.where(small, 0.0, 1 / np.sqrt(np.where(small, 1.0, variance)))


def find_genres(folder):
    """List the sound files of a collection laid out as GENRE/FILE, as GTZAN is.

    Parameters
    ----------
    folder : str or path
        The folder of the genres, or one above it: a folder ``genres_original`` at most two levels
        below is found.

    Returns
    -------
    folder : Path
        That of the genres.
    tracks : list of data.tracks.Track
        Sorted by name; the genre stands as `artist`, the name of the folder that holds the file.

    Raises
    ------
    ValueError
        If there are no sound files in at least two folders.
    """
    folder = Path(folder)
    for pattern in ("genres_original", "*/genres_original"):
        folder = next(iter(sorted(folder.glob(pattern))), folder)
    names = find_files(folder, AUDIO_SUFFIXES)
    tracks = [Track(name, name.split("/")[-2], name) for name in names if "/" in name]
    if len({track.artist for track in tracks}) < 2:
        raise ValueError(
            f"{folder}: sound files (*.wav, *.au, *.mp3, ...) in at least two folders, "
            "one a genre, are needed"
        )
    return folder, tracks


def find_silent_genres(folder, tracks):
    """Return the folders beside those of the genres that hold no sound file: (name, reason)."""
    heard = {track.name.split("/")[0] for track in tracks}
    folders = sorted(path.name for path in Path(folder).iterdir() if path.is_dir())
    return [(f"{name}/", "no sound files") for name in folders if name not in heard]


def read_lists(paths, tracks):
    """Return the tracks that each list names, and the lines that name none.

    Parameters
    ----------
    paths : list of path
        UTF-8 text files of a name a line, such as ``blues/blues.00012.wav``. What counts is the
        folder, where it is given, and the name without a sound file's suffix, so that a list of
        .wav serves .au.
    tracks : list of data.tracks.Track

    Returns
    -------
    lists : list of list of Track
    left_out : list of (str, reason)

    Raises
    ------
    ValueError
        If a track is in two lists, a list names no track at all or is no text, or a name without
        folder fits several.
    """
    by_stem = {}
    for track in tracks:
        path = Path(track.name)
        for key in (path.stem, f"{path.parent.name}/{path.stem}"):
            by_stem.setdefault(key, []).append(track)
    lists, left_out, seen = [], [], {}
    for path in paths:
        found = []
        try:
            text = Path(path).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: no text file of names ({error})") from error
        for line in filter(None, map(str.strip, text.splitlines())):
            name = Path(line.replace("\\", "/"))
            stem = name.stem if name.suffix.lower() in AUDIO_SUFFIXES else name.name
            parent = name.parent.name
            fitting = by_stem.get(f"{parent}/{stem}" if parent else stem, [])
            if not fitting:
                left_out.append((line, f"no such sound file, in {path}"))
                continue
            track, *others = fitting
            if others:
                raise ValueError(
                    f"{path}: {line} may be {track.name} or {others[0].name}; name the folder too"
                )
            if seen.setdefault(track.name, path) != path:
                raise ValueError(
                    f"{track.name} is in {seen[track.name]} and in {path}; a track "
                    "may be in one list only"
                )
            elif track not in found:
                found.append(track)
        if not found:
            raise ValueError(f"{path}: names none of the {len(tracks)} sound files")
        lists.append(found)
    return lists, left_out
