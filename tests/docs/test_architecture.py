"""docs/architecture.md matches the code: its rooms, their imports, and the paths through them."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest

from tests.docs.imports import imports_of, modules
from tests.docs.pages import ROOT, page

PAGE = page("architecture.md")
ROOMS = {row[0]: row[2] for row in PAGE.table_after("Rooms")}
"""What the page says that each room may import, by the room's path; the order is the page's."""
EVERY_ROOM_ABOVE = "every room above"
PATH = re.compile(r"(?:`[\w/]+\.py`\s+→\s+)+`[\w/]+\.py`")
MODULES = [module for module in modules() if Path(module).name not in ("__init__.py", "__main__.py")]
IMPORTS = [imported for module in MODULES for imported in imports_of(module)]


def is_in(module: str, place: str) -> bool:
    """Return whether a module is a file, or in a directory, that the page names."""
    return module == place or (place.endswith("/") and module.startswith(place))


def room_of(module: str) -> str:
    """The room that a module is in."""
    rooms = [room for room in ROOMS if is_in(module, room)]
    assert len(rooms) == 1, f"{module} must be in exactly one room of docs/architecture.md, not in {rooms}"
    return rooms[0]


def allowed_places(room: str) -> list[str]:
    """The rooms and files that a room may import, itself included."""
    names = list(ROOMS)
    if ROOMS[room] == EVERY_ROOM_ABOVE:
        return names[: names.index(room) + 1]
    return [room, *(name.strip() for name in ROOMS[room].split(",") if name.strip() != "nothing")]


def test_every_room_exists() -> None:
    assert [room for room in ROOMS if not (ROOT / room).exists()] == []


def test_every_module_is_in_one_room() -> None:
    assert [module for module in MODULES if not room_of(module)] == []


def test_init_files_of_packages_contain_no_code() -> None:
    packages = [module for module in modules() if module.endswith("/__init__.py")]
    trees = {package: ast.parse((ROOT / package).read_text(encoding="utf-8")) for package in packages}
    assert [package for package, tree in trees.items() if len(tree.body) > (ast.get_docstring(tree) is not None)] == []


def test_rooms_may_import_only_rooms_above_them() -> None:
    names = list(ROOMS)
    for room in names:
        for place in allowed_places(room):
            assert names.index(place if place in names else room_of(place)) <= names.index(room), f"{room}: {place}"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_room_may_import(module: str) -> None:
    places = allowed_places(room_of(module))
    forbidden = [item for item in imports_of(module) if not any(is_in(item.imported, place) for place in places)]
    assert [str(item) for item in forbidden] == []


def test_no_module_imports_itself_through_others() -> None:
    """Imports inside functions and imports for types count, too."""
    finished: set[str] = set()
    for module in MODULES:
        _assert_no_cycle(module, [], finished)


def _assert_no_cycle(module: str, path: list[str], finished: set[str]) -> None:
    assert module not in path, " → ".join([*path[path.index(module) :], module])
    if module not in finished:
        for imported in imports_of(module):
            _assert_no_cycle(imported.imported, [*path, module], finished)
        finished.add(module)


def test_imports_inside_functions_are_those_that_the_page_lists() -> None:
    listed = {(row[0], row[1]) for row in PAGE.table_after("Imports inside functions")}
    assert {(lazy.importer, lazy.imported) for lazy in IMPORTS if lazy.is_lazy} == listed


def test_each_file_of_a_path_imports_the_next() -> None:
    paths = [re.findall(r"`([^`]+)`", path) for path in PATH.findall(PAGE.prose)]
    assert len(paths) >= 3
    for path in paths:
        for file, following in pairwise(path):
            assert following in {imported.imported for imported in imports_of(file)}, f"{file} → {following}"
