"""The card of a model: what it learned from, how good it is, what it is for; to read and to cite.

The card lies in the model file, under ``card`` of ``about``; `format_card` writes it as Markdown.
"""

import datetime

import numpy as np

from ..artists.model import ModelError
from ..data.files import printable
from ..data.tracks import SPLITS
from ..data.versions import get_revision

UNKNOWN = "not recorded"


def make_card(datasets, errors, chance, corpus="", licence=""):
    """Return what a model's card says of its data and its errors, as JSON can hold it.

    Parameters
    ----------
    datasets : Dataset
        What it was trained on.
    errors : dict
        Split to 'best' and 'last' to what `Model.evaluate` returns.
    chance : dict
        ``patch_error`` and ``track_error`` of always naming the commonest artist.
    corpus, licence : str
        Name and licence of the recordings, as the user states them.

    Returns
    -------
    dict
    """
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": get_revision(),
        "corpus": {
            "name": corpus,
            "licence": licence,
            "artists": len(datasets.label_names),
            "sha256": dict(datasets.sha256),
        },
        "split": datasets.info.get("split", {}) | {s: count(datasets, s) for s in SPLITS},
        "errors": errors,
        "chance": chance,
    }


def count(datasets, name):
    """Return the numbers of patches, tracks and artists of a part of a set."""
    split = getattr(datasets, name)
    names = datasets.track_names
    return {
        "patches": len(split.x),
        "tracks": None if names is None else len(names[name]),
        "artists": len(np.unique(split.y)),
    }


def format_card(model, title=""):
    """Write a model's card as Markdown.

    Parameters
    ----------
    model : Model
        Of an older one, or one that was not made by the command, less is known, and is said so.
    title : str

    Returns
    -------
    str

    Raises
    ------
    ModelError
        If the model's file holds a card that is none.
    """
    try:
        return _format_card(model, model.about.get("card", {}), title)
    except (TypeError, LookupError, AttributeError, ValueError) as error:
        raise ModelError(f"the model's card is damaged ({error!r})") from error


def _format_card(model, card, title):
    corpus, recipe = card.get("corpus", {}), model.recipe
    name = escape_markdown(corpus.get("name") or "unnamed recordings")
    description = escape_markdown(recipe.description.rstrip("."))
    paragraphs = [
        f"# {escape_markdown(title or 'Model card')}",
        f"A network of recipe {escape_markdown(recipe.name)} ({description}) that was trained "
        f"to name the artist of a patch of music: {len(model.label_names)} artists of {name}.",
        "## Results",
        format_errors(card),
        "## What it learned from",
        format_list(
            {
                "corpus": corpus.get("name") or UNKNOWN,
                "licence of the recordings": corpus.get("licence") or UNKNOWN,
                "artists": len(model.label_names),
                **{name: format_count(card, name) for name in SPLITS},
                "split": format_split(card),
                **{f"SHA-256 of {k}": v for k, v in corpus.get("sha256", {}).items()},
            }
        ),
        "## How it was made",
        format_list(
            {
                "date": card.get("date", UNKNOWN),
                "commit": card.get("commit") or "not known (installed without git), see versions",
                "versions": ", ".join(
                    f"{name} {v}" for name, v in model.about.get("versions", {}).items() if v
                )
                or UNKNOWN,
                "device": f"{model.about.get('device', UNKNOWN)}, {model.floatX}",
                "seed": recipe.seed,
                "recipe": ", ".join(
                    f"{field} = {value}"
                    for field, value in recipe.to_dict().items()
                    if field not in ("name", "description", "seed")
                ),
                **({"diverged at": d} if (d := model.about.get("diverged_at")) is not None else {}),
            }
        ),
        "## What it is for",
        "To reproduce and to compare: the numbers above come from one split by track, in which "
        "every artist may occur in all parts. It names one of its own artists for whatever it "
        "hears, also for music of others. Its layers serve as features for other tasks; whether "
        "they beat simpler ones has to be measured for each. It was not made to decide anything "
        "about people.",
        "## Cite",
        'McFee and Montecchio, "Deep Unlearning", HAMR 2013, and deep_artists (CITATION.cff).',
    ]
    return "\n\n".join(paragraphs) + "\n"


def format_errors(card):
    """Return the errors as a table, with how many patches and tracks they are of."""
    errors, chance = card.get("errors"), card.get("chance", {})
    if not errors:
        return f"{UNKNOWN.capitalize()}."
    lines = ["| part, parameters | patch error | track error (95 % interval) |", "|---|---|---|"]
    for split, found in errors.items():
        counts = card["split"][split]
        for which, shares in found.items():
            patches = format_share(shares["patch_error"], shares.get("patches", counts["patches"]))
            tracks = format_share(shares["track_error"], counts["tracks"], interval=True)
            lines.append(f"| {escape_markdown(f'{split}, {which}')} | {patches} | {tracks} |")
    shares = [format_share(chance.get(key), None) for key in ("patch_error", "track_error")]
    lines.append(f"| chance: the commonest artist | {shares[0]} | {shares[1]} |")
    return "\n".join(lines)


def format_share(share, n, interval=False):
    """Return a share of n in percent, with Wilson's interval where it is asked for.

    >>> format_share(0.25, 24, interval=True)
    '25.0 % of 24 (12.0 to 44.9)'
    """
    if share is None:
        return "-"
    text = f"{100 * share:.1f} %"
    if n is None:
        return text
    low, high = (100 * bound for bound in bound_share(share, n))
    return f"{text} of {n}" + (f" ({low:.1f} to {high:.1f})" if interval else "")


def bound_share(share, n, z=1.959964):
    """Return Wilson's 95 % interval of a share that was found in n independent cases."""
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def format_count(card, name):
    """Return what a part of the set holds."""
    counts = card.get("split", {}).get(name)
    if not counts:
        return UNKNOWN
    tracks = "" if counts["tracks"] is None else f" of {counts['tracks']} tracks"
    return f"{counts['patches']} patches{tracks} by {counts['artists']} artists"


def format_split(card):
    """Return how the set was split."""
    split = card.get("split", {})
    if "seed" not in split:
        return UNKNOWN
    return f"by track, or by group where there are groups; seed {split['seed']}"


def format_list(facts):
    """Return facts as a Markdown list; what the user named cannot become markup."""
    return "\n".join(
        f"- {escape_markdown(name)}: {escape_markdown(value)}" for name, value in facts.items()
    )


def escape_markdown(text):
    r"""Return a text of one line that Markdown shows as it is.

    >>> print(escape_markdown("*A* <b> [x](y)"))
    \*A\* \<b\> \[x\](y)
    """
    text = printable(" ".join(str(text).split()))
    return "".join(f"\\{c}" if c in "\\`*<>[]|" else c for c in text)
