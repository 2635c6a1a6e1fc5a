"""Several concurrent publishers: as fast as the server answers, or at a fixed rate."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque

from benchmarks.errors import BenchmarkError
from benchmarks.event_loop import EventLoop
from benchmarks.load import Load
from benchmarks.message import Format, now
from benchmarks.publisher import Publisher
from benchmarks.target import Target

RESPONSE_TIMEOUT = 30.0
"""Seconds that the last answers may take."""


class Publishers(ABC):
    """The publishers of one run."""

    def __init__(self, loop: EventLoop, target: Target, load: Load) -> None:
        self._loop = loop
        self._load = load
        self._stop_at = 0.0
        data_format, channels = Format(load.size), load.channel_names
        self._all = [
            Publisher(loop, target.node(number), number, channels, data_format, self._continue)
            for number in range(load.publishers)
        ]

    @property
    def published(self) -> int:
        """The number of messages that the server has accepted."""
        return sum(publisher.published for publisher in self._all)

    def published_in(self, channel: int) -> int:
        """Return the number of accepted messages in one channel, given by its position."""
        return sum(publisher.published_in(channel) for publisher in self._all)

    def run(self) -> None:
        """Publish for the time of the load, and wait for all responses. Raises BenchmarkError."""
        start = time.monotonic()
        self._stop_at = start + self._load.seconds
        self._begin(start)
        self._loop.run_for(self._load.seconds)
        if not self._loop.run_until(self._is_idle, RESPONSE_TIMEOUT):
            raise BenchmarkError(f"timeout: no response of the API within {RESPONSE_TIMEOUT:g} s")

    def close(self) -> None:
        """Close the connections to the server."""
        for publisher in self._all:
            publisher.close()

    def _is_idle(self) -> bool:
        return not any(publisher.busy for publisher in self._all)

    @abstractmethod
    def _begin(self, start: float) -> None:
        """Publish the first messages, or schedule them."""

    @abstractmethod
    def _continue(self, publisher: Publisher) -> None:
        """Continue after a response for one publisher."""


class SaturatingPublishers(Publishers):
    """Publishes the next batch as soon as the previous one is confirmed."""

    def _begin(self, start: float) -> None:
        for publisher in self._all:
            self._continue(publisher)

    def _continue(self, publisher: Publisher) -> None:
        if time.monotonic() < self._stop_at:
            publisher.publish([now()] * self._load.batch)


class PacedPublishers(Publishers):
    """Publishes batches at regular times, each by an idle publisher.

    If all publishers wait for the server, the time of sending is the time at which the message was due. Otherwise a
    slow server would seem faster.
    """

    def __init__(self, loop: EventLoop, target: Target, load: Load) -> None:
        super().__init__(loop, target, load)
        self._interval = load.batch / load.rate
        self._next_due = 0.0
        self._late: deque[int] = deque()
        """The times of due batches for which no publisher was idle."""

    def _begin(self, start: float) -> None:
        self._next_due = start
        self._tick()

    def _tick(self) -> None:
        while self._next_due <= time.monotonic():
            free = next((publisher for publisher in self._all if not publisher.busy), None)
            if free is not None:
                free.publish([now()] * self._load.batch)
            else:
                self._late.append(now())
            self._next_due += self._interval
        if self._next_due < self._stop_at:
            self._loop.call_at(self._next_due, self._tick)

    def _continue(self, publisher: Publisher) -> None:
        if self._late:
            publisher.publish([self._late.popleft()] * self._load.batch)
