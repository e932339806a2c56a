"""Sounds for a page: seconds of a recording, a filter made audible; encoded for any browser."""

import base64
import io

import numpy as np

from ..data.mel import FMAX_HZ, FMIN_HZ, HOP_LENGTH, N_MELS, SR_HZ, hz_to_mel, mel_to_hz
from ..data.patches import AudioError

MP3_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
FADE_S = 0.01
STRETCH = 10  # a filter is a twentieth of a second long: it is also played this much slower


def cut_seconds(path, start_s, length_s):
    """Return mono seconds of a sound file, faded in and out, and their sample rate.

    Raises
    ------
    AudioError
        If the file cannot be read there.
    """
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            file.seek(max(0, min(int(start_s * file.samplerate), file.frames)))
            y = file.read(int(length_s * file.samplerate), always_2d=True).mean(axis=1)
            return fade(y, file.samplerate), file.samplerate
    except (OSError, soundfile.SoundFileError) as error:
        raise AudioError(f"{path}: cannot be read ({error})") from error


def fade(y, sr_hz):
    """Return audio that begins and ends without a click."""
    ramp = np.arange(len(y)) / (FADE_S * sr_hz)
    return y * np.minimum(1, np.minimum(ramp, ramp[::-1]))


def sound_filter(weights, lowest_band):
    """Make a filter audible: what it is pleased to hear, four times, then once slowly.

    Every band with positive weights is a sine at its centre, as loud as the weights' square roots
    say; negative weights, where a filter wants silence, cannot be heard.

    Parameters
    ----------
    weights : np.ndarray [shape=(bands, frames)]
        As applied to the input.
    lowest_band : int
        Where the filter lies in a patch.

    Returns
    -------
    np.ndarray [shape=(n,)]
        At 22050 Hz.
    """
    amplitude = np.sqrt(np.maximum(weights, 0))
    low, high = hz_to_mel(FMIN_HZ), hz_to_mel(FMAX_HZ)
    centres_hz = mel_to_hz(np.linspace(low, high, N_MELS + 2))[1:-1]
    hz = centres_hz[lowest_band : lowest_band + len(weights)]
    phase = np.random.RandomState(0).uniform(0, 2 * np.pi, len(hz))

    def play(stretch):
        n_frames = weights.shape[1]
        t = np.arange(int(n_frames * HOP_LENGTH * stretch)) / SR_HZ
        frame = t * SR_HZ / (HOP_LENGTH * stretch)
        y = np.zeros(len(t))
        for row, f, start in zip(amplitude, hz, phase):
            y += np.interp(frame, np.arange(n_frames) + 0.5, row) * np.sin(
                2 * np.pi * f * t + start
            )
        return fade(y, SR_HZ)

    pause = np.zeros(SR_HZ // 5)
    y = np.concatenate([*[play(1), pause] * 4, pause, play(STRETCH), pause])
    return 0.5 * y / (np.abs(y).max() or 1)


def encode(y, sr_hz):
    """Return audio as a data URI: MP3, or FLAC where MP3 has no such sample rate."""
    import soundfile

    mp3 = sr_hz in MP3_RATES_HZ and "MP3" in soundfile.available_formats()
    file = io.BytesIO()
    if mp3:
        soundfile.write(file, y, sr_hz, format="MP3", subtype="MPEG_LAYER_III")
    else:
        soundfile.write(file, y, sr_hz, format="FLAC", subtype="PCM_16")
    kind = "mpeg" if mp3 else "flac"
    return f"data:audio/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
