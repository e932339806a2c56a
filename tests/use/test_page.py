"""The page of a run: what is on it, what cannot be, and names that would be markup."""

import base64
import io
import json
import re
from html import escape
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile
from test_predict import make_model

from deep_artists.data.dataset import make_dataset
from deep_artists.data.extraction import extract_folder
from deep_artists.data.patches import extract_patches
from deep_artists.use.card import make_card
from deep_artists.use.page import write_page
from deep_artists.use.page_sounds import Sounds
from deep_artists.use.sounds import encode, sound_filter

EVIL = '<script>alert(1)</script> & "Ke$ha"'
VOID = {"meta", "img", "br"}


class Checker(HTMLParser):
    """Collects tags, and checks that they are closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.links, self.text = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [v for k, v in attributes if k in ("src", "href", "data-sound", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, text):
        self.text.append(text)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder with recordings of artists whose names are markup."""
    folder = tmp_path_factory.mktemp("run")
    rng = np.random.RandomState(0)
    for artist in (EVIL.replace("/", "∕"), "bob"):
        (folder / "corpus" / artist).mkdir(parents=True)
        for i in range(4):
            y = rng.uniform(-0.5, 0.5, 22050) * np.sin(np.arange(22050) * (i + 1) / 50)
            soundfile.write(folder / "corpus" / artist / f"{i}.flac", y, 22050)
    extract_folder(folder / "corpus", folder / "patches")
    datasets = make_dataset(folder / "patches", folder / "set")
    model = make_model()
    share = {"patch_error": 0.5, "track_error": 0.5}
    errors = {name: {"best": share, "last": share} for name in ("valid", "test")}
    card = make_card(datasets, errors, share, EVIL, "CC0")
    model.label_names, model.about = datasets.label_names, {"card": card}
    model.save(folder / "model.npz")
    results = {
        "recipe": model.recipe.to_dict(), "errors": errors, "costs": [3.0, 2.0, 1.0] * 4,
        "validation": [[6, 0.5], [12, 0.4]], "best_iteration": 12, "chance": 0.5,
        "chance_track": 0.5, "seconds": {"train": 2.0},
    }  # fmt: skip
    (folder / "results.json").write_text(json.dumps(results))
    return folder


@pytest.fixture(scope="module")
def page(run):
    """The page of the run, where one recording was lost and a certificate is there."""
    next((run / "corpus" / "bob").iterdir()).unlink()
    for path in (run / "corpus" / "bob").iterdir():
        y, sr_hz = soundfile.read(path)
        soundfile.write(path, 0.5 * y, sr_hz)  # another recording under the old name
    check = {"quantity": "mel", "recorded_by": "librosa", "bound": 1e-13, "measured": "<b>"}
    found = {"checks": [check | {"passed": True}], "cite": "1 of 1 checks passed."}
    (run / "verify.json").write_text(json.dumps(found))
    return write_page(run, run / "a" / "report.html")


def test_the_page_has_every_section_and_needs_nothing_else(page):
    html = page[0].read_text(encoding="utf-8")
    checker = Checker()
    checker.feed(html)
    assert not checker.open
    assert checker.tags.count("section") == 8 and checker.tags.count("script") == 1
    assert checker.tags.count("svg") >= 4 and "audio" in checker.tags
    assert all(link.startswith(("data:", "#")) for link in checker.links)
    assert not re.search(r'(src|href)="(https?:)?//', html)
    text = " ".join(checker.text)
    assert "alert(1)" in text and "50.0 % of 2" in text and "<script>" in text
    assert "1 of 1 checks passed." in text and "<b>" in text


def test_recordings_that_are_gone_or_others_are_named_and_not_heard(page, run):
    [note] = page[1]
    assert "cannot be heard here" in note and escape(note) in page[0].read_text(encoding="utf-8")
    sounds = Sounds(run / "corpus", "last30")
    assert sounds.of_patch("bob/none.flac", np.ones(2560, "float32")) == (None, None)
    assert "no such file" in sounds.why_silent()
    sounds = Sounds(run / "corpus", "last30")
    heard = next((run / "corpus" / EVIL.replace("/", "∕")).iterdir())
    track = str(heard.relative_to(run / "corpus"))
    assert sounds.of_patch(track, np.ones(2560, "float32")) == (None, None)
    assert "no longer the file" in sounds.why_silent()
    at_s, sound = Sounds(run / "corpus", "last30").of_patch(track, extract_patches(heard)[2])
    assert at_s == pytest.approx(2 * 5120 / 22050) and sound.startswith("data:audio/")
    assert Sounds(None, "last30").of_patch(track, np.ones(2560)) == (None, None)


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="model.npz"):
        write_page(tmp_path, tmp_path / "report.html")


def test_a_filter_sounds_at_its_bands_and_is_heard_anywhere():
    weights = -np.ones((9, 11))
    weights[4] = 1  # band 30 + 4 of 64
    y = sound_filter(weights, 30)
    spectrum = np.abs(np.fft.rfft(y))
    peak_hz = spectrum.argmax() * 22050 / len(y)
    mel = 45.245640471924965 * 35 / 65  # Slaney's 8000 Hz, and the centre of band 34
    assert abs(peak_hz - 1000 * np.exp(np.log(6.4) / 27 * (mel - 15))) < 20
    assert np.abs(y).max() == 0.5 and not sound_filter(-np.ones((9, 11)), 0).any()
    for sr_hz in (22050, 12345):
        kind, _, data = encode(y, sr_hz).partition(";base64,")
        decoded, found_hz = soundfile.read(io.BytesIO(base64.b64decode(data)))
        assert found_hz == sr_hz and abs(len(decoded) - len(y)) < 4000
        assert kind in ("data:audio/mpeg", "data:audio/flac")
