"""What ends a benchmark before it has a result."""

from __future__ import annotations


class BenchmarkError(Exception):
    """The benchmark cannot go on; the text is a sentence for whoever started it."""
