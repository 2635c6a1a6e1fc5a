"""The exception that ends a benchmark before it has a result."""

from __future__ import annotations


class BenchmarkError(Exception):
    """The benchmark failed; the text is shown to the user."""
