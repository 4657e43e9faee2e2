"""The house: folders and files in one order, and what is not to grow unseen."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import jaxnn

PACKAGE = Path(jaxnn.__file__).parent
FOLDERS = (
    "system",
    "disk",
    "functional",
    "data",
    "settings",
    "training",
    "planning",
    "results",
    "formats",
    "engine",
    "with_optuna",
    "searching",
    "watching",
    "estimators",
)
"""From the ground up: each imports only from those above it in this list."""
ROOT = {"__init__", "__main__", "version"}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE)


def module(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def imports(path):
    """Modules of ours that a file imports, and whether that is inside of a function."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(a.name, node.col_offset > 0) for a in node.names if a.name == "jaxnn"]
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "jaxnn":
            name = node.module.removeprefix("jaxnn").strip(".")
            is_file = (PACKAGE / f"{name.replace('.', '/')}.py").is_file()
            names = [name] if is_file else [f"{name}.{a.name}".strip(".") for a in node.names]
            found += [(one, node.col_offset > 0) for one in names]
    return found


def test_the_root_holds_the_door_alone():
    assert {path.stem for path in PACKAGE.glob("*.py")} == ROOT
    assert {path.parent.name for path in FILES} == {*FOLDERS}


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_says_what_belongs_there(folder):
    tree = ast.parse((PACKAGE / folder / "__init__.py").read_text())
    assert len(ast.get_docstring(tree)) > 60
    # scikit-learn's users import from the folder itself
    assert len(tree.body) == 1 or folder == "estimators"


@pytest.mark.parametrize("path", FILES, ids=module)
def test_a_file_imports_from_above_alone(path):
    place = FOLDERS.index(path.parent.name)
    for name, is_deferred in imports(path):
        folder = name.split(".")[0]
        assert name == "version" or folder in FOLDERS[: place + 1], f"imports {name}"
        assert not is_deferred, f"imports {name} inside of a function"


def test_no_files_import_each_other():
    graph = {module(path): [name for name, _ in imports(path)] for path in FILES}
    TopologicalSorter(graph).prepare()


KNOBS = {"EPOCHS_PER_CALL", "SHARE", "BEAT", "GRACE", "POLL", "HEARTBEAT", "MOST_SHARED"}


@pytest.mark.parametrize("path", FILES, ids=module)
def test_no_file_has_a_copy_of_a_knob(path):
    """What tests set in one place is so everywhere."""
    nodes = ast.walk(ast.parse(path.read_text()))
    imported = [node.names for node in nodes if isinstance(node, ast.ImportFrom)]
    assert not KNOBS & {alias.name for names in imported for alias in names}
