"""A run as one HTML page: to look at, to listen to, to print; it needs no network.

What comes from the user, such as the names of artists and tracks, is escaped. A section whose data
are not there says so.
"""

from html import escape
from pathlib import Path
from string import Template

from .. import __version__
from ..artists.model import Model
from ..data.dataset import open_dataset
from ..data.figures import style
from ..data.files import new_file, printable, read_json
from .page_pieces import make_tile, percent
from .page_sections import (
    make_card_section,
    make_certificate,
    make_confusions,
    make_curves,
    make_filters,
    make_map,
    make_results,
    make_times,
)
from .page_sounds import Sounds
from .plots import check_run

TEMPLATE = Path(__file__).with_name("page.html")


def write_page(run, out, audio_dir=None, map_method="pca"):
    """Write the page of a run.

    Parameters
    ----------
    run : str or path
        Folder that ``reproduce`` or ``train`` wrote: model.npz, results.json, and the set.
    out : str or path
        The page.
    audio_dir : str or path, optional
        Folder of the sound files; where the run found them, if not given.
    map_method : {'pca', 'tsne'}

    Returns
    -------
    path : Path
    notes : list of str
        What is not on the page, and why.

    Raises
    ------
    ValueError, OSError
        If model, results or set are damaged, or the page cannot be written.
    RuntimeError
        If matplotlib is not installed.
    """
    run, out, notes = Path(run), Path(out), []
    check_run(run)
    model, results = Model.load(run / "model.npz"), read_results(run)
    datasets = find_set(run, results, notes)
    try:
        html = make_page(run, model, results, datasets, notes, audio_dir, map_method)
    except (TypeError, LookupError, AttributeError) as error:
        raise ValueError(f"{run}: results.json or the card are damaged ({error!r})") from error
    out.parent.mkdir(parents=True, exist_ok=True)
    with new_file(out) as file:
        file.write(html.encode("utf-8", "backslashreplace"))
    return out, notes


def make_page(run, model, results, datasets, notes, audio_dir, map_method):
    """Return the page as text; add to `notes` what is not on it."""
    sections = [make_results(model, results), make_curves(results)]
    if datasets is not None and model.is_whole:
        with style():  # says at once where matplotlib is missing
            sounds = Sounds(find_audio_dir(run, results, audio_dir), model.recipe.clip)
        sections += [
            make_confusions(model, datasets.test),
            make_filters(model, datasets, sounds),
            make_times(model, datasets, sounds),
            make_map(model, datasets, map_method),
        ]
        notes += sounds.notes()
    sections += [make_card_section(model, run), make_certificate(run)]
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(make_title(model, run)),
        subtitle=escape(make_subtitle(model, results)),
        version=escape(__version__),
        tiles="".join(make_tile(*tile) for tile in list_tiles(model, results)),
        contents="".join(f'<a href="#{name}">{title}</a>' for name, title, _ in sections),
        sections="\n".join(
            f'<section id="{name}"><h2>{title}</h2>\n{body}</section>'
            for name, title, body in sections
        ),
    )


# --- what there is ---


def read_results(run):
    path = run / "results.json"
    if not path.is_file():
        raise ValueError(f"{run}: has no results.json; a folder of reproduce or train is needed")
    return read_json(path, recipe=dict, errors=dict, costs=list, validation=list)


def find_set(run, results, notes):
    """Return the opened set of a run, or None with a note."""
    folders = [run / "set", *filter(None, [results.get("set_dir")])]
    for folder in map(Path, folders):
        if folder.is_dir():
            datasets = open_dataset(folder)
            if datasets.track_names is not None:
                return datasets
    notes.append(f"no pictures of patches and tracks: {folders[-1]} holds no set with tracks")
    return None


def find_audio_dir(run, results, given):
    """Return the folder of the sound files, or None."""
    for folder in (given, results.get("audio_dir"), run / "corpus"):
        if folder is not None and Path(folder).is_dir():
            return Path(folder)
    return None


# --- the head ---


def make_title(model, run):
    corpus = model.about.get("card", {}).get("corpus", {}).get("name")
    return f"Recipe {model.recipe.name} on {corpus or run.resolve().name}"


def make_subtitle(model, results):
    card = model.about.get("card", {})
    parts = [model.recipe.description, card.get("date"), f"{len(model.label_names)} artists"]
    parts.append(f"{results.get('iterations', len(results['costs']))} updates")
    return printable(" · ".join(filter(None, parts)))


def list_tiles(model, results):
    """Yield (what, value, more) of the numbers one looks for first."""
    test, chance = results["errors"]["test"]["best"], results.get("chance_track")
    counts = model.about.get("card", {}).get("split", {}).get("test", {})
    if test["track_error"] is not None:
        of = f"of {counts['tracks']} tracks" if counts.get("tracks") else ""
        yield "test error, tracks", percent(test["track_error"]), of
    of = f"of {counts['patches']} patches" if counts else ""
    yield "test error, patches", percent(test["patch_error"]), of
    if chance is not None:
        yield "chance, tracks", percent(chance), "always the commonest artist"
    if results.get("chance") is not None:
        yield "chance, patches", percent(results["chance"]), "always the commonest artist"
