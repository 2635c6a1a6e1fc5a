"""The limit of open files, which limits the number of connections."""

from __future__ import annotations

import resource

from benchmarks.errors import BenchmarkError

RESERVED_FILES = 64
"""Files that are open for other reasons: standard streams, publishers, libraries."""


def raise_limit() -> int:
    """Raise the soft limit to the hard limit, and return the number of connections that it allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            return soft - RESERVED_FILES
    return hard - RESERVED_FILES


def check(connections: int, allowed: int) -> None:
    """Raise BenchmarkError if this number of connections cannot be opened."""
    if connections > allowed:
        raise BenchmarkError(
            f"{connections} connections are too many: the hard limit of open files allows {allowed} (ulimit -Hn)"
        )
