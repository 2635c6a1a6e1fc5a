"""No file that operators are given is one that no test has run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parts import ROOT

# What `make packages` is made of is run as a whole, by tests/integration/test_system_packages.py.
GIVEN = [
    *(path for path in (ROOT / "conf").rglob("*") if path.is_file() and path.parent.name != "packages"),
    ROOT / "supervisord.conf",
    *(ROOT / name for name in ("Procfile", "Dockerfile", ".dockerignore", "compose.yaml")),
]
TESTS = [path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)]


@pytest.mark.parametrize("file", GIVEN, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_file_is_named_by_a_test(file: Path) -> None:
    names = (f'"{file.name}"', f"/{file.name}", f'"{file.parent.name}").iterdir()')
    assert [path for path in TESTS if any(name in path.read_text(encoding="utf-8") for name in names)]
