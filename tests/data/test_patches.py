"""The front end against 2013 librosa, and what it does with audio that is not right."""

import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal.windows import hann

from deep_artists.data import mel, patches
from deep_artists.data.mel import mel_filters, mel_power, resample
from deep_artists.data.patches import (
    HOP_LENGTH,
    MIN_SAMPLES,
    N_FFT,
    N_FRAMES,
    AudioError,
    extract_patches,
)
from deep_artists.reference import golden

CLIP = "frontend/clip.wav"


def tone(n, sr_hz=22050, seed=0):
    rng = np.random.RandomState(seed)
    t_s = np.arange(n) / sr_hz
    return 0.3 * np.sin(2 * np.pi * 440 * t_s) + 0.01 * rng.uniform(-1, 1, size=n)


def ulps(a, b):
    """Units in the last place between float32 arrays of positive numbers."""
    return np.abs(a.view(np.int32).astype(np.int64) - b.view(np.int32))


# --- the numbers ---


def test_patches_are_those_of_2013():
    recorded = golden.load("frontend/clip.npz")["patches"]
    x = extract_patches(golden.path(CLIP))
    assert x.shape == recorded.shape and x.dtype == np.float32 and x.flags.c_contiguous
    assert np.mean(x == recorded) >= 0.9999  # measured: all of them
    assert ulps(x, recorded).max() <= 1


def test_mel_filters_are_those_of_2013():
    recorded = golden.load("frontend/clip.npz")["mel_basis"]
    assert mel_filters().dtype == np.float64
    np.testing.assert_allclose(mel_filters(), recorded, rtol=0, atol=1e-14)  # measured: 2.5e-17


def test_mel_power_is_that_of_2013():
    recorded = golden.load("frontend/clip.npz")["mel"]
    y, _ = soundfile.read(golden.path(CLIP), dtype="float64")
    power = mel_power(y)
    assert power.dtype == np.float64 and power.shape == recorded.shape
    # Sums of positive terms, so the error is relative. Measured: 2e-14.
    np.testing.assert_allclose(power, recorded, rtol=1e-13, atol=0)
    assert np.any(recorded == 0) and np.all(power[recorded == 0] == 0)  # digital silence


def test_a_damaged_mp3_says_nothing_on_stderr(tmp_path, capfd):
    path = tmp_path / "a.mp3"
    soundfile.write(path, tone(3 * 22050), 22050, format="MP3")
    data = bytearray(path.read_bytes())
    for i in np.random.RandomState(1).randint(2000, len(data), 300):
        data[i] ^= 0x55
    path.write_bytes(data[: len(data) * 2 // 3])
    soundfile.read(path)
    assert "mpg123" in capfd.readouterr().err  # the file is one that it complains of
    assert len(extract_patches(path))
    assert capfd.readouterr().err == ""


def test_every_step_has_the_bits_of_librosa():
    import librosa

    scale = dict(n_mels=64, fmin=0.0, fmax=8000.0, htk=False, norm="slaney", dtype=np.float64)
    np.testing.assert_array_equal(mel_filters(), librosa.filters.mel(sr=22050, n_fft=512, **scale))
    np.testing.assert_array_equal(mel.hann_window(), hann(512, sym=False))
    hz = np.array([0.0, 440.0, 999.9, 1000.0, 1000.1, 8000.0])
    np.testing.assert_array_equal(mel.hz_to_mel(hz), librosa.hz_to_mel(hz, htk=False))
    y = np.random.RandomState(0).uniform(-1, 1, 300_000)  # more frames than a block
    stft = librosa.stft(y, n_fft=512, hop_length=128, window="hann", center=False, dtype=complex)
    power = mel.sparse_mel_filters() @ (stft.real**2 + stft.imag**2)
    np.testing.assert_array_equal(mel_power(y), power)
    for sr in (44100, 48000, 22051, 8000, 1000):
        theirs = librosa.resample(
            y[: 3 * sr + 17], orig_sr=sr, target_sr=22050, res_type="soxr_vhq"
        )
        np.testing.assert_array_equal(resample(y[: 3 * sr + 17], sr), theirs)


def test_the_recording_tells_a_centred_stft_and_a_shifted_filter(monkeypatch):
    recorded = golden.load("frontend/clip.npz")["patches"]
    y, _ = soundfile.read(golden.path(CLIP), dtype="float64")
    with monkeypatch.context() as patch:
        patch.setattr(patches, "mel_power", lambda y: mel_power(np.pad(y, 256)))
        centred = extract_patches(y)
        assert centred.shape == recorded.shape  # a shape test would not notice
        assert np.mean(centred == recorded) < 0.5
    shifted = np.roll(mel_filters(), 1, axis=1)
    monkeypatch.setattr(mel, "sparse_mel_filters", lambda: shifted)
    assert np.mean(extract_patches(y) == recorded) < 0.5


def test_layout_is_mel_major():
    y = tone(3 * 5120 + 384)
    power = mel_power(y)
    x = extract_patches(y)
    assert x.shape == (3, 2560)
    np.testing.assert_array_equal(x[1].reshape(64, 40), power[:, 40:80].astype(np.float32))


def test_bits_do_not_depend_on_blas():
    code = (
        "import numpy as np; from deep_artists.data.mel import mel_power; "
        "x = mel_power(np.random.RandomState(0).uniform(-1, 1, 200000)); "
        "import hashlib; print(hashlib.sha256(x.tobytes()).hexdigest())"
    )
    hashes = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "OPENBLAS_NUM_THREADS": n, "OPENBLAS_CORETYPE": core},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for n, core in (("1", "Prescott"), ("2", "Haswell"))
    }
    assert len(hashes) == 1


# --- which samples ---


def test_the_last_30_s_are_used():
    y = tone(35 * 22050)
    x = extract_patches(y)
    assert x.shape == (129, 2560)
    np.testing.assert_array_equal(x, extract_patches(y[-30 * 22050 :]))


def test_one_patch_is_the_least():
    assert extract_patches(tone(5504)).shape == (1, 2560)
    with pytest.raises(AudioError, match=r"5503 samples .* 5504"):
        extract_patches(tone(5503))


def test_channels_are_averaged():
    y = np.stack([tone(22050, seed=1), tone(22050, seed=2)])
    np.testing.assert_array_equal(extract_patches(y), extract_patches((y[0] + y[1]) / 2))


def test_integers_are_divided_by_full_scale(tmp_path):
    y = np.round(tone(22050) * 32768).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", y, 22050)
    expected = extract_patches(y / 32768)
    np.testing.assert_array_equal(extract_patches(y), expected)
    np.testing.assert_array_equal(extract_patches(tmp_path / "a.wav"), expected)


@pytest.mark.parametrize("sr_hz", [8000, 44100, 48000])
def test_other_rates_are_resampled(sr_hz):
    n_s = 3
    x = extract_patches(tone(n_s * sr_hz, sr_hz), sr=sr_hz)
    y = extract_patches(tone(n_s * 22050))
    band = mel_filters()[:, round(440 / 22050 * 512)].argmax()
    x, y = (a[3:-3].reshape(-1, 64, 40)[:, band].mean() for a in (x, y))
    assert x == pytest.approx(y, rel=1e-2)


@pytest.mark.parametrize("sr_hz", [22050, 32000, 44100])
@pytest.mark.parametrize("block", [2**24, 100_003])
def test_a_long_file_is_read_in_blocks_with_the_same_result(tmp_path, monkeypatch, sr_hz, block):
    y = tone(40 * sr_hz + 17, sr_hz)
    soundfile.write(tmp_path / "a.wav", y, sr_hz, subtype="DOUBLE")
    monkeypatch.setattr(patches, "BLOCK_VALUES", block)
    x = extract_patches(tmp_path / "a.wav")
    np.testing.assert_array_equal(x, extract_patches(y, sr=sr_hz))
    assert len(x) == 129


def test_cutting_before_resampling_alters_next_to_nothing():
    import librosa

    y = tone(40 * 44100 + 1, 44100)
    whole = librosa.resample(y, orig_sr=44100, target_sr=22050, res_type=patches.RES_TYPE)
    units = ulps(extract_patches(y, sr=44100), extract_patches(whole))
    # Measured: 471 of 330 240 entries differ, by one unit; at 48 kHz none.
    assert units.max() <= 2 and np.mean(units > 0) < 0.01


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_formats(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, np.stack([tone(44100 * 2, 44100)] * 2, axis=1), 44100)
    assert len(extract_patches(path)) >= 8
    assert len(extract_patches(str(path))) >= 8


# --- audio that is not right ---


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers(tmp_path, bad):
    y = tone(22050)
    y[9000] = bad
    soundfile.write(tmp_path / "a.wav", y, 22050, subtype="FLOAT")
    with pytest.raises(AudioError, match="a.wav: 1 samples are NaN or infinite"):
        extract_patches(tmp_path / "a.wav")
    with pytest.raises(AudioError, match="NaN"):
        extract_patches(np.stack([y, -y]))


def test_samples_too_large_for_float32():
    with pytest.raises(AudioError, match="overflow"):
        extract_patches(1e200 * tone(22050))


@pytest.mark.parametrize("sr", [0, -1, 22050.5, 10**9, np.nan])
def test_sample_rates_out_of_range(sr):
    with pytest.raises(AudioError, match="sample rate is"):
        extract_patches(tone(22050), sr=sr)


@pytest.mark.parametrize(
    "y", [np.zeros((2, 3, 9000)), np.zeros(9000, complex), np.zeros(9000, bool), np.array(["a"])]
)
def test_arrays_that_are_no_audio(y):
    with pytest.raises(TypeError, match="audio array has shape"):
        extract_patches(y)


def test_a_file_has_its_own_sample_rate():
    with pytest.raises(TypeError, match="leave it out"):
        extract_patches(golden.path(CLIP), sr=22050)


# --- names ---


def test_import_is_cheap():
    code = "import sys, deep_artists.data.patches; print(sorted(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout
    for name in (b"librosa", b"scipy", b"joblib", b"soundfile", b"pytensor"):
        assert b"'%s'" % name not in modules


FEW = settings(max_examples=40, deadline=None)


@FEW
@given(st.integers(0, 3 * MIN_SAMPLES), st.integers(0, 2**32 - 1))
def test_patches_are_the_frames_in_their_order(n, seed):
    y = np.random.RandomState(seed).uniform(-1, 1, size=n)
    if n < MIN_SAMPLES:
        with pytest.raises(ValueError, match=str(n)):
            extract_patches(y)
        return
    patches = extract_patches(y)
    assert len(patches) == (1 + (n - N_FFT) // HOP_LENGTH) // N_FRAMES
    frames = patches.reshape(-1, 64, N_FRAMES).transpose(1, 0, 2).reshape(64, -1)
    np.testing.assert_array_equal(frames, mel_power(y)[:, : frames.shape[1]].astype(np.float32))


def test_a_whole_recording_is_cut_in_blocks(monkeypatch, tmp_path):
    y = tone(35 * 22050)
    x = extract_patches(y, clip="all")
    assert len(x) == (len(y) - 512 + 128) // 5120
    np.testing.assert_array_equal(extract_patches(y[: 30 * 22050]), x[:129])
    monkeypatch.setattr(patches, "BLOCK_PATCHES", 7)
    np.testing.assert_array_equal(extract_patches(y, clip="all"), x)
    soundfile.write(tmp_path / "a.flac", tone(40 * 44100), 44100)
    read, facts = patches.extract_file(tmp_path / "a.flac", "all")
    assert facts["used_s"] == 40.0 and len(read) == 172
    monkeypatch.setattr(patches, "BLOCK_VALUES", 100_000)
    np.testing.assert_array_equal(patches.extract_file(tmp_path / "a.flac", "all")[0], read)
    with pytest.raises(ValueError, match="clip = 'first30'; there are last30, all"):
        extract_patches(y, clip="first30")


@pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3"])
def test_the_artist_and_the_album_that_a_file_names(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    with soundfile.SoundFile(path, "w", 22050, 1) as file:
        file.artist, file.album = " Björk ", "Debut"
        file.write(tone(22050))
    assert patches.extract_file(path)[1]["tags"] == {"artist": "Björk", "album": "Debut"}
