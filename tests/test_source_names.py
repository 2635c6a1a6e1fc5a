"""The names in the package: a class or a constant has the same meaning in all files."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator

from tests.parts import ROOT

DIRECTORIES = ("app", "engines", "admin")
MESSAGES = ("app/protocol/v2/messages.py", "app/api/messages.py")
"""Their classes are left out, because other programs know these names: the first file has the names of the protocol's
Protobuf schema, the second one those of the OpenAPI document. Constants in these files are not left out.
"""
PER_MODULE = {"__all__", "log", "INITIAL_DELAY", "MAX_DELAY"}
"""Names that every module may have for itself; the pauses are those of its own Backoff."""


def definitions(source: str, module: str) -> Iterator[tuple[str, str]]:
    """The public classes and constants of a source text, each with what it is: a class of the module, or a value."""
    for node in ast.parse(source).body:
        match node:
            case ast.ClassDef(name=name):
                yield name, f"class in {module}"
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    yield from (
                        (name.id, ast.unparse(value)) for name in ast.walk(target) if isinstance(name, ast.Name)
                    )
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield name, ast.unparse(value)


def test_classes_and_constants_of_a_source_text_are_found() -> None:
    source = "class A: ...\nB, C = 1, 2\nD: int = 3\n_E = 4\ndef f(): g = 5\n"
    found = list(definitions(source, "a.py"))
    assert found == [("A", "class in a.py"), ("B", "(1, 2)"), ("C", "(1, 2)"), ("D", "3"), ("_E", "4")]


def test_no_public_name_has_two_meanings() -> None:
    meanings: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for directory in DIRECTORIES:
        for path in (ROOT / directory).rglob("*.py"):
            module = str(path.relative_to(ROOT))
            for name, meaning in definitions(path.read_text(encoding="utf-8"), module):
                if (
                    not name.startswith("_")
                    and name not in PER_MODULE
                    and not (module in MESSAGES and meaning.startswith("class in "))
                    and not meaning.startswith("TypeVar(")
                ):
                    meanings[name][meaning] = module
    assert "Config" in meanings
    assert {name: list(found.values()) for name, found in meanings.items() if len(found) > 1} == {}
