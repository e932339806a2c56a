import pytest
from patch_files import write_patches


@pytest.fixture
def patch_dir(tmp_path):
    """3 artists of 5 tracks of 2 to 6 patches."""
    for artist in ("bach", "abba", "cher"):
        for i in range(5):
            write_patches(tmp_path / "patches", f"{artist}/{i}.ogg", n=2 + i)
    return tmp_path / "patches"
