"""The imports of the package's modules, read from their source without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.docs.pages import ROOT

PACKAGES = ("app", "engines", "admin", "client")


@dataclass(frozen=True)
class Import:
    """One import of a module of the package by another one. Both are paths from the root of the repository."""

    importer: str
    imported: str
    line: int
    is_lazy: bool
    """The import stands inside a function."""

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def modules() -> list[str]:
    """Return all modules of the package, as paths from the root of the repository."""
    nested = [
        path for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py")) if "node_modules" not in path.parts
    ]
    return [path.relative_to(ROOT).as_posix() for path in [*sorted(ROOT.glob("_*.py")), ROOT / "testing.py", *nested]]


@cache
def imports_of(module: str) -> tuple[Import, ...]:
    """Return the modules of the package that a module imports, those imported for types only included."""
    tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    return tuple(_walk(tree, module, is_lazy=False))


def _walk(node: ast.AST, module: str, is_lazy: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ImportFrom) and child.level:
            for imported in _imported(child, module):
                yield Import(module, imported, child.lineno, is_lazy)
        elif not isinstance(child, (ast.Import, ast.ImportFrom)):
            yield from _walk(child, module, is_lazy or isinstance(child, (ast.FunctionDef, ast.Lambda)))


def _imported(statement: ast.ImportFrom, module: str) -> Iterator[str]:
    """Yield the modules that `from .x import a, b` names: `x` itself, or `a` and `b` where these are modules in `x`."""
    parent = (ROOT / module).parents[statement.level - 1]
    target = parent.joinpath(*(statement.module or "").split("."))
    for suffix in (".py", ".pyi"):  # the second for a module in C
        if target.with_suffix(suffix).is_file():
            yield _path(target.with_suffix(suffix))
            return
    for alias in statement.names:
        inner = target / f"{alias.name}.py"
        yield _path(inner if inner.is_file() else target / "__init__.py")


def _path(file: Path) -> str:
    assert file.is_file(), f"{file} does not exist"
    return file.relative_to(ROOT).as_posix()
