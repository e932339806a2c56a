"""The task of `transfer`: the family of an instrument that was never heard.

80 General MIDI instruments in ten families play the same six phrases each, by another sound font
than the teacher's music (FluidR3, from Debian's fluid-soundfont-gm), which needs fluidsynth.
"""

import random
import struct
import subprocess
from pathlib import Path

import numpy as np

SHUFFLES, FOLDS, C = 3, 4, 1.0

FAMILIES = (
    "piano chromatic_percussion organ guitar bass strings ensemble brass reed pipe"
).split()  # General MIDI's first ten, eight programs each
PHRASES, PHRASE_S, SLOT_S, LEAD_S = 6, 6, 9, 1
TICKS_A_SECOND = 960


def compose_phrases():
    """Return lists of (start in s, length in s, pitch, velocity): the same for every instrument."""
    rng, phrases = random.Random(2013), []
    for beat_s, chord in ((0.5, 0), (0.5, 0), (0.5, 0), (1, 3), (1, 4), (2, 0)):
        notes = []
        for i in range(int(PHRASE_S / beat_s)):
            pitch, velocity = rng.randint(43, 72), rng.randint(50, 120)
            length = beat_s * rng.choice([0.5, 0.75, 0.95])
            for interval in (0, chord, 7) if chord else (0,):
                notes.append((i * beat_s, length, pitch + interval, velocity))
        phrases.append(notes)
    return phrases


def write_midi(program):
    """Return a MIDI file in which a program plays all phrases, one a slot."""
    events = [(0, b"\xc0" + bytes([program]))]
    for i, phrase in enumerate(compose_phrases()):
        for start, length, pitch, velocity in phrase:
            start += LEAD_S + SLOT_S * i
            events.append((round(start * TICKS_A_SECOND), bytes([0x90, pitch, velocity])))
            events.append((round((start + length) * TICKS_A_SECOND), bytes([0x80, pitch, 0])))
    track, now = b"", 0
    for tick, event in sorted(events):  # at one tick, notes end (0x80) before others begin (0x90)
        track += encode_length(tick - now) + event
        now = tick
    track += encode_length(3 * TICKS_A_SECOND) + b"\xff\x2f\x00"
    header = b"MThd" + struct.pack(">IHHH", 6, 0, 1, TICKS_A_SECOND // 2)  # 120 beats a minute
    return header + b"MTrk" + struct.pack(">I", len(track)) + track


def encode_length(n):
    """Return a MIDI number: seven bits a byte, all but the last marked."""
    encoded = bytes([n & 127])
    while n := n >> 7:
        encoded = bytes([n & 127 | 128]) + encoded
    return encoded


def render_instruments(folder, soundfont):
    """Write ``<family>/<program>-<phrase>.flac``, phrases of 6 s, each with its peak at 0.7."""
    import soundfile

    for program in range(8 * len(FAMILIES)):
        family = folder / FAMILIES[program // 8]
        family.mkdir(parents=True, exist_ok=True)
        last = family / f"{program:03d}-{PHRASES - 1}.flac"
        if last.exists():
            continue
        midi, wav = folder / "playing.mid", folder / "playing.wav"
        midi.write_bytes(write_midi(program))
        options = "-niq -R 0 -C 0 -g 0.5 -r 44100 -o synth.dynamic-sample-loading=1 -F".split()
        subprocess.run(
            ["fluidsynth", *options, wav, soundfont, midi],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        y, sr = soundfile.read(wav)
        for i in range(PHRASES):
            phrase = y[(LEAD_S + SLOT_S * i) * sr :][: PHRASE_S * sr]
            peak = np.abs(phrase).max()
            assert len(phrase) == PHRASE_S * sr and peak > 1e-3, f"program {program} is silent"
            soundfile.write(last.with_name(f"{program:03d}-{i}.flac"), phrase * (0.7 / peak), sr)
        midi.unlink()
        wav.unlink()


def find_soundfont(work):
    """Return FluidR3's path; if it is not installed, take it out of Debian's package."""
    path = Path("usr/share/sounds/sf2/FluidR3_GM.sf2")
    for root in (Path("/"), work / "soundfont"):
        if (root / path).exists():
            return root / path
    (work / "soundfont").mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "download", "fluid-soundfont-gm"], cwd=root, check=True)
    [package] = root.glob("fluid-soundfont-gm_*.deb")
    subprocess.run(["dpkg-deb", "-x", package, root], check=True)
    return root / path


def describe_patches(rows):
    """Return the mean and the standard deviation over a phrase's patches, one after the other."""
    rows = np.asarray(rows, np.float64)
    return np.concatenate([rows.mean(axis=0), rows.std(axis=0)])


def load_task(folder):
    """Return the patches of every file, their labels, and the groups that are tested together.

    A file is ``<label>/<group>-<number>.<suffix>``, or ``<label>/<group>.<suffix>``.
    """
    from deep_artists.data.tracks import open_patches

    patches = open_patches(folder)
    x = [np.array(patches.open(name)[0]) for name in patches.names]
    parts = [name.split("/") for name in patches.names]
    labels = np.array([part[-2] for part in parts])
    return x, labels, np.array([f"{part[-2]}/{part[-1].split('-')[0]}" for part in parts])


def cross_validate(features, labels, groups, shuffles):
    """Return whether each row is labelled rightly: bool [shape=(shuffles, rows)].

    Logistic regression on standardised features; a group is in one fold, so that nothing of what
    it is tested on was known.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold

    right = np.zeros((shuffles, len(labels)), bool)
    for seed in range(shuffles):
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
        for known, unheard in folds.split(features, labels, groups):
            mean, deviation = features[known].mean(axis=0), features[known].std(axis=0)
            varies = deviation > 1e-9 * (np.abs(mean) + 1e-30)
            x = (features[:, varies] - mean[varies]) / deviation[varies]
            if x.shape[1] > len(known):  # the same solution in the space that the rows span
                x = x @ np.linalg.svd(x[known], full_matrices=False)[2].T
            fit = LogisticRegression(C=C, max_iter=2000).fit(x[known], labels[known])
            right[seed, unheard] = fit.predict(x[unheard]) == labels[unheard]
    return right


def share_right(features, labels, groups):
    """Return the share of right answers for every group, an instrument that was never heard."""
    right = cross_validate(features, labels, groups, SHUFFLES)
    return [round(float(right[:, groups == name].mean()), 4) for name in np.unique(groups)]


def measure_mel(x, labels, groups):
    """Return the right answers of mel power itself: over frames by band, and over patches."""
    from deep_artists.data.compression import log1p_power

    found = {}
    kinds = {
        "mel power": np.asarray,
        "log mel": log1p_power,
        "log mel down to 1e-10": lambda x: np.log(1e-10 + x),
    }
    for kind, function in kinds.items():
        z = [function(patches.astype(np.float64)) for patches in x]
        bands = [p.reshape(-1, 64, 40).transpose(0, 2, 1).reshape(-1, 64) for p in z]
        for name, rows in ((f"{kind}, bands", bands), (f"{kind}, patches", z)):
            features = np.array([describe_patches(row) for row in rows])
            found[name] = share_right(features, labels, groups)
    return found
