#!/usr/bin/env python3
"""Prints the requirements for `make test-lowest`: the lowest versions that pyproject.toml allows, and test tools.

pip selects the versions of indirect dependencies: the newest ones that fit.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
_LOWEST = re.compile(r"(?P<name>[\w.-]+(?:\[[\w,]+\])?)>=(?P<version>[\w.]+)(?:,<[\w.]+)?")


def lowest_versions() -> Iterator[str]:
    """Yield the requirements of the package and of its extras, each pinned to its lowest version.

    Raises ValueError for a requirement without a lowest version.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for group in (project["dependencies"], *project["optional-dependencies"].values()):
        for requirement in group:
            match = _LOWEST.fullmatch(requirement)
            if match is None:
                raise ValueError(f"pyproject.toml: {requirement}: expected name>=version")
            yield f"{match['name']}=={match['version']}"


def test_tools() -> Iterator[str]:
    """Yield the pinned requirements of requirements-dev.txt, without their hashes and those of production."""
    for line in (ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines():
        if line[:1].isalnum():
            yield line.removesuffix("\\").rstrip()


if __name__ == "__main__":
    print("\n".join([*lowest_versions(), *test_tools()]))
