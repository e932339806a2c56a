"""The sounds of a page: found where the recordings lie, if they are still what they were."""

import os

import numpy as np

from ..data.mel import HOP_LENGTH, SR_HZ
from ..data.patches import N_FRAMES, AudioError, cut_mel, read_mel
from .sounds import cut_seconds, encode, sound_filter

PATCH_S = N_FRAMES * HOP_LENGTH / SR_HZ
AROUND_S = 2.0  # played of a patch
LONGEST_S = 300  # played of a track, 9 kB of the page a second


class Sounds:
    """Seconds of recordings as data URIs.

    Parameters
    ----------
    folder : Path or None
        Of the sound files.
    clip : {'last30', 'all'}
        See `patches.extract_patches`.
    """

    def __init__(self, folder, clip):
        self.folder, self.clip = folder, clip
        self.known, self.missing = {}, {}

    def read(self, track):
        """Return the path of a track, its patches and when they begin, or raise AudioError."""
        if track not in self.known:
            if self.folder is None:
                raise AudioError("the sound files are not where the run found them")
            path = self.folder / track
            mel, start_s = read_mel(os.fspath(path), clip=self.clip)
            self.known[track] = path, np.concatenate(list(cut_mel(mel))), start_s
        return self.known[track]

    def locate(self, track, patch):
        """Return the path of a track, and the second at which a patch begins in it."""
        path, patches, start_s = self.read(track)
        distance = np.abs(patches - patch).max(axis=1)
        i = int(distance.argmin())
        if distance[i] > 1e-4 * np.abs(patch).max():
            raise AudioError(f"{path}: is no longer the file that the patches were made of")
        return path, start_s + i * PATCH_S

    def of_patch(self, track, patch):
        """Return when a patch begins, and the seconds around it; two None where it is not there."""
        try:
            path, at_s = self.locate(track, patch)
            y, sr_hz = cut_seconds(path, max(0, at_s - (AROUND_S - PATCH_S) / 2), AROUND_S)
        except (AudioError, OSError) as error:
            self.missing.setdefault(track, str(error))
            return None, None
        return at_s, encode(y, sr_hz)

    def of_track(self, track, patches):
        """Return when patches of a track begin, and their sound; two None if it is not there."""
        try:
            times_s = [self.locate(track, patch)[1] for patch in (patches[0], patches[-1])]
            path, length_s = self.known[track][0], times_s[1] - times_s[0] + PATCH_S
            y, sr_hz = cut_seconds(path, times_s[0], min(length_s, LONGEST_S))
        except (AudioError, OSError) as error:
            self.missing.setdefault(track, str(error))
            return None, None
        return np.linspace(*times_s, len(patches)), encode(y, sr_hz)

    def of_filter(self, weights, lowest_band):
        """Return a filter made audible."""
        return encode(sound_filter(weights, lowest_band), SR_HZ)

    def why_silent(self):
        """Return why tracks are not heard, or nothing."""
        if not self.missing:
            return ""
        reason = next(iter(self.missing.values()))
        return f"{len(self.missing)} tracks cannot be heard here: {reason}."

    def notes(self):
        """Return the same as notes for who makes the page."""
        return [self.why_silent()] if self.missing else []
