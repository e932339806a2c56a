"""Write folders of patch files for the tests."""

import json

import numpy as np

from deep_artists.data.patches import SETTINGS


def write_patches(folder, name, n=3, value=None, settings=SETTINGS, silent=0, tags=None):
    path = folder / f"{name}.mel.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    value = sum(map(ord, name)) if value is None else value
    x = value + np.arange(n * 2560, dtype=np.float32).reshape(n, 2560)
    x[n - silent :] = 0
    np.save(path, x)
    path.with_suffix(".json").write_text(json.dumps({"settings": settings, "tags": tags}))
    return path
