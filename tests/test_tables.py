"""The tables of measured figures in the READMEs are those of the JSON they were written from."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def load_tables():
    spec = importlib.util.spec_from_file_location("tables", ROOT / "bench" / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tables = load_tables()


@pytest.mark.parametrize("name", tables.FILES)
def test_tables_are_as_measured(name):
    text = (ROOT / name).read_text()
    assert "<!-- table " in text
    assert tables.render(text) == text, "python bench/tables.py writes them"


def test_a_figure_changed_by_hand_is_found():
    text = (ROOT / tables.FILES[0]).read_text()
    head, mark, table = text.partition("-->\n| ")
    assert tables.render(f"{head}{mark}0{table}") == text
