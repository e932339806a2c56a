"""The house: imports go downward only, in no circle, and into no other room's private names."""

import ast
from pathlib import Path

import pytest

import deep_artists

PACKAGE = Path(deep_artists.__file__).parent

# Room -> the rooms that it may import from, beside itself.
BELOW = {
    "data": set(),
    "ops": {"data"},
    "nn": {"ops", "data"},
    "artists": {"nn", "ops", "data"},
    "systems": {"nn", "ops", "data"},
    "reference": set(),
    "use": {"systems", "artists", "nn", "ops", "data"},
    "evidence": {"systems", "artists", "nn", "ops", "data", "reference"},
    "cli": {"use", "evidence", "systems", "artists", "nn", "ops", "data"},
}
# What any room may take from the package itself.
FROM_PACKAGE = {"__version__"}


def list_modules():
    """Yield (dotted name below the package, path) of every module."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] == "reference" and parts[-1] in ("record", "inputs", "tour"):  # scripts
            continue
        yield ".".join(parts), path


def list_imports(name, source):
    """Yield (module, imported name) of imports from this package, dotted, below the package."""
    package = name.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "deep_artists":
                    yield alias.name.partition(".")[2], ""
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - node.level + 1]
            elif (node.module or "").split(".")[0] == "deep_artists":
                base = []
                node.module = node.module.partition(".")[2]
            else:
                continue
            for alias in node.names:
                yield ".".join([*base, *filter(None, [node.module])]), alias.name


def find_faults(name, source):
    """Return what is wrong with the imports of a module."""
    room, faults = name.split(".")[0], []
    for module, imported in list_imports(name, source):
        target = (module or imported).split(".")[0]
        if target not in BELOW:
            if room in BELOW and imported not in FROM_PACKAGE:
                faults.append(f"{name} imports {module or imported} from the package itself")
        elif target != room:
            if room in BELOW and target not in BELOW[room]:
                faults.append(f"{name} imports {module}: {target} is not below {room}")
            if imported.startswith("_"):
                faults.append(f"{name} imports {module}.{imported}, which is private")
    return faults


MODULES = list(list_modules())


@pytest.mark.parametrize("name, path", MODULES, ids=[name for name, _ in MODULES])
def test_imports_go_downward_and_into_no_private_name(name, path):
    assert find_faults(name, path.read_text()) == []


def test_no_modules_import_each_other_in_a_circle():
    modules = dict(MODULES)
    edges = {
        name: {
            target
            for module, imported in list_imports(name, path.read_text())
            for target in (module, f"{module}.{imported}")
            if target in modules and target != name
        }
        for name, path in modules.items()
    }
    while edges:  # take away what imports nothing that is left; a circle remains
        free = {name for name, targets in edges.items() if not targets & edges.keys()}
        assert free, f"in a circle, or above one: {sorted(edges)}"
        edges = {name: targets for name, targets in edges.items() if name not in free}


@pytest.mark.parametrize(
    "name, source, fault",
    [
        ("data.patches", "from ..nn.steps import Steps", "nn is not below data"),
        ("nn.loop", "import deep_artists.artists.train", "artists is not below nn"),
        ("use.predict", "from ..data.legacy import _Reader", "which is private"),
        ("nn.steps", "from .. import train", "from the package itself"),
        ("cli.commands", "def f():\n    from ..reference import golden", "reference is not below"),
    ],
)
def test_a_wrong_import_is_found(name, source, fault):
    assert any(fault in found for found in find_faults(name, source))


def test_every_room_says_what_it_is_for():
    rooms = {path.parent.name: path for path in PACKAGE.glob("*/__init__.py")}
    assert set(rooms) == set(BELOW)
    for path in rooms.values():
        assert ast.get_docstring(ast.parse(path.read_text()))


def test_the_reference_has_one_name():
    import deep_artists.reference

    path = Path(deep_artists.reference.__file__)
    namespace = {"__name__": "reference", "__file__": str(path)}
    with pytest.raises(ImportError, match="is deep_artists.reference"):
        exec(path.read_text(), namespace)
