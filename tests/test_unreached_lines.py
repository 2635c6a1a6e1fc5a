"""`make coverage` fails for a line that no test reaches, unless the line gives a reason."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parts import ROOT
from tests.waiting import seconds

SCRIPT = ROOT / "scripts" / "unreached_lines.py"
CODE = """\
from typing import Protocol


class Named(Protocol):
    def name(self) -> str: ...


def half(number: int) -> int:
    if number % 2:
        raise ValueError{mark}
    return number // 2


half(2)
"""


def measured(directory: Path, mark: str) -> subprocess.CompletedProcess[str]:
    """The output of the script after the code has run once."""
    (directory / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for name in ("app", "engines", "admin", "client", "build/coverage"):
        (directory / name).mkdir(parents=True)
    (directory / "app" / "halves.py").write_text(CODE.format(mark=mark))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=seconds(30)
        )

    for arguments in (["run", "app/halves.py"], ["combine", "--quiet"]):
        done = run("-m", "coverage", *arguments)
        assert done.returncode == 0, done.stderr
    return run(str(SCRIPT))


@pytest.mark.parametrize("mark", ["", "  # pragma: no cover"], ids=["without a mark", "with a mark without a reason"])
def test_a_line_without_a_reason_is_named(tmp_path: Path, mark: str) -> None:
    done = measured(tmp_path, mark)
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:] == [f"app/halves.py:10: raise ValueError{mark}"]


def test_line_with_a_reason_is_not_reported(tmp_path: Path) -> None:
    done = measured(tmp_path, "  # pragma: no cover (only for odd numbers)")
    assert (done.returncode, done.stderr) == (0, "")
