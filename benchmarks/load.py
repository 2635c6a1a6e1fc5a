"""The parameters of the load of a mode."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.message import MAX_SIZE, MIN_SIZE
from benchmarks.report import count_text

MAX_CHANNELS = 100_000


@dataclass(frozen=True)
class Load:
    """The parameters of a run. A mode uses those that it lists in its defaults."""

    connections: int = 1
    channels: int = 1
    namespace: str = ""
    """With its boundary; put before the name of each channel."""
    publishers: int = 1
    rate: float = 0
    """Messages a second of all publishers together."""
    batch: int = 1
    """Messages in one API request."""
    size: int = 100
    """Bytes of the JSON that is published."""
    seconds: float = 5
    settle: float = 10
    """Seconds to wait before memory is read."""
    cycles: int = 10
    parallel: int = 32
    """Connections that are being opened at a time."""
    check: bool = False
    """Look at every message of every connection, not of a sample."""
    compress: bool = False
    """Subscribers ask for compressed messages."""

    @property
    def channel_names(self) -> list[str]:
        """The names of the channels, all with the same length, so that messages have equal sizes."""
        return [f"{self.namespace}load{number:05d}" for number in range(self.channels)]

    @property
    def who(self) -> str:
        """Describe the subscribers and channels as text."""
        return f"{count_text(self.connections, 'subscriber')} of {count_text(self.channels, 'channel')}" + (
            ", compressed" if self.compress else ""
        )

    def with_given(self, given: dict[str, Any]) -> Load:
        """Return the load with some parameters replaced. Raises BenchmarkError for an impossible combination."""
        load = replace(self, **given)
        if not MIN_SIZE <= load.size <= MAX_SIZE:
            raise BenchmarkError(f"--size: {load.size} bytes is not between {MIN_SIZE} and {MAX_SIZE}")
        if load.channels > MAX_CHANNELS:
            raise BenchmarkError(f"--channels: {load.channels} are more than {MAX_CHANNELS}")
        return load
