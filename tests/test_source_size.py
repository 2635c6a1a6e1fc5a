"""The limits of size that the code of the package keeps, read from its source.

A file has 450 lines at most. A function has 40 at most, from `def` to its end, without the decorators above it and
without its own docstring; a function inside another one counts for both. The web interface has 2500 lines at most.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.parts import ROOT

DIRECTORIES = ("app", "engines", "admin", "client")
FILE_LIMIT = 450
FUNCTION_LIMIT = 40
WEB_LIMIT = 2500

Function = ast.FunctionDef | ast.AsyncFunctionDef

FILES = sorted(str(file.relative_to(ROOT)) for directory in DIRECTORIES for file in (ROOT / directory).rglob("*.py"))


def functions(source: str) -> Iterator[tuple[str, int]]:
    """The name of each function in a source text, and how many lines it has."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Function):
            yield node.name, lines_of(node)


def lines_of(function: Function) -> int:
    """The lines of a function without its docstring."""
    return span(function) - (span(function.body[0]) if ast.get_docstring(function) is not None else 0)


def span(node: ast.stmt) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def test_lines_are_counted_without_decorators_and_docstring() -> None:
    source = '''
@decorated
def outer(
    name: str,
) -> None:
    """A docstring

    of three lines.
    """

    def inner() -> None:
        """One line."""
        print(name)

    inner()
'''
    assert dict(functions(source)) == {"outer": 9, "inner": 2}


def test_all_source_files_are_checked() -> None:
    assert {"app/cli.py", "engines/redis/engine.py", "admin/views.py"} < set(FILES)


@pytest.mark.parametrize("file", FILES)
def test_a_file_and_its_functions_are_small(file: str) -> None:
    source = (ROOT / file).read_text(encoding="utf-8")
    assert len(source.splitlines()) <= FILE_LIMIT
    assert [(name, lines) for name, lines in functions(source) if lines > FUNCTION_LIMIT] == []


def test_the_web_interface_is_small() -> None:
    web = ROOT / "admin" / "web"
    own = [file for file in web.rglob("*") if file.suffix in (".js", ".css", ".html")]
    own = [file for file in own if not file.is_relative_to(web / "vendor")]
    assert {"main.js", "style.css", "index.html", "status.js"} <= {file.name for file in own}
    assert sum(len(file.read_text(encoding="utf-8").splitlines()) for file in own) <= WEB_LIMIT
