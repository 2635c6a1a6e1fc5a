"""No file that operators are given is one that no test has run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parts import ROOT

GIVEN = [
    *(path for path in (ROOT / "conf").rglob("*") if path.is_file()),
    ROOT / "supervisord.conf",
    ROOT / "Procfile",
]
TESTS = [path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)]


@pytest.mark.parametrize("file", GIVEN, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_file_is_named_by_a_test(file: Path) -> None:
    names = (f'"{file.name}"', f"/{file.name}", f'"{file.parent.name}").iterdir()')
    assert [path for path in TESTS if any(name in path.read_text(encoding="utf-8") for name in names)]
