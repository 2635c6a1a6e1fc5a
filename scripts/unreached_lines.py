#!/usr/bin/env python3
"""Prints the lines that no test has reached according to coverage.py, and ends with status 1 if there are any.

A line that no test can reach is marked `# pragma: no cover (REASON)`; see `exclude_lines` in pyproject.toml.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from coverage import Coverage

ADVICE = "no test has reached these lines: test them, delete them, or mark them with `# pragma: no cover (REASON)`"


def unreached_lines() -> Iterator[str]:
    """Yield each unreached line as FILE:NUMBER: TEXT. Raises coverage.exceptions.NoDataError without measurements."""
    coverage = Coverage()
    coverage.load()
    for file in sorted(coverage.get_data().measured_files()):
        lines = Path(file).read_text(encoding="utf-8").splitlines()
        _, _, _, missing, _ = coverage.analysis2(file)
        name = Path(file).relative_to(Path.cwd())
        yield from (f"{name}:{number}: {lines[number - 1].strip()}" for number in missing)


if __name__ == "__main__":
    found = list(unreached_lines())
    if found:
        print(f"{ADVICE}:", *found, sep="\n", file=sys.stderr)
        sys.exit(1)
