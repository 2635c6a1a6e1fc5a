"""The limit of open files."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from benchmarks import open_files
from benchmarks.errors import BenchmarkError

PROGRAM = """
import resource
from benchmarks.open_files import RESERVED_FILES, raise_limit

_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
assert raise_limit() == hard - RESERVED_FILES
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
"""


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True)


def test_too_many_connections_for_the_limit_are_refused() -> None:
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    open_files.check(allowed, allowed)
    with pytest.raises(BenchmarkError, match=f"{allowed + 1} connections are too many.*{allowed}"):
        open_files.check(allowed + 1, allowed)
