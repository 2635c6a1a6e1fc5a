"""Measures the effect of a fault: a backend publishes numbers, and lost, duplicate and late ones are counted."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Collection, Sequence
from http.client import HTTPConnection, HTTPException
from typing import NamedTuple

from tests.credentials import sign
from tests.servers import Server
from tests.waiting import seconds


class Verdict(NamedTuple):
    """The numbers of lost, duplicate and late messages, of one subscriber or of all together."""

    lost: int = 0
    doubled: int = 0
    reordered: int = 0

    def __add__(self, other: object) -> Verdict:
        assert isinstance(other, Verdict)
        return Verdict(*(mine + its for mine, its in zip(self, other, strict=True)))


def judge(accepted: Collection[int], got: Sequence[int]) -> Verdict:
    """Compare the accepted numbers, in ascending order, with the numbers that one subscriber received."""
    seen: set[int] = set()
    newest, doubled, reordered = -1, 0, 0
    for number in got:
        if number in seen:
            doubled += 1
        elif number < newest:
            reordered += 1
        seen.add(number)
        newest = max(newest, number)
    return Verdict(len(set(accepted) - seen), doubled, reordered)


def judge_all(accepted: Collection[int], gots: Collection[Sequence[int]]) -> Verdict:
    """Return the verdicts over all subscribers of a channel, added."""
    return sum((judge(accepted, got) for got in gots), Verdict())


class Backend:
    """Publishes the same numbers in several channels at a rate, in a separate thread, in a `with` block.

    It sends one request with a few numbers after another, so that they arrive in their order.
    """

    TOGETHER = 5
    """Numbers of one request."""

    def __init__(self, server: Server, channels: Sequence[str], rate: float) -> None:
        self.accepted: dict[str, list[int]] = {channel: [] for channel in channels}
        self.refused: dict[str, list[int]] = {channel: [] for channel in channels}
        """What was answered with an error, or not at all: it may have been delivered or not."""
        self.count = 0
        """Numbers published so far, whether accepted or not."""
        self._server = server
        self._pause = self.TOGETHER / rate
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Backend:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop publishing, and wait until all requests are answered. A second call does nothing."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        connection = HTTPConnection(self._server.host, self._server.port, timeout=seconds(20))
        due = time.monotonic()
        while not self._stopping.wait(max(due - time.monotonic(), 0)):
            due = max(due + self._pause, time.monotonic() - 0.5)  # a little of what was held up is made up for
            numbers = range(self.count, self.count + self.TOGETHER)
            published = [(channel, number) for number in numbers for channel in self.accepted]
            try:
                errors = self._publish(connection, published)
            except (OSError, HTTPException):
                connection.close()
                errors = ["no answer"] * len(published)
            for (channel, number), error in zip(published, errors, strict=True):
                (self.refused if error else self.accepted)[channel].append(number)
            self.count += self.TOGETHER
        connection.close()

    def _publish(self, connection: HTTPConnection, published: Sequence[tuple[str, int]]) -> list[object]:
        """Publish numbers, and return the error of each, if any. Raises OSError or HTTPException."""
        body = json.dumps(
            [{"method": "publish", "params": {"channel": channel, "data": number}} for channel, number in published]
        )
        headers = {"Content-Type": "application/json", "X-API-Sign": sign(body, secret=self._server.secret)}
        connection.request("POST", "/api/", body.encode(), headers)
        answer = connection.getresponse()
        data = answer.read()
        if answer.status != 200:
            raise OSError(f"status {answer.status}")
        return [reply["error"] for reply in json.loads(data)]
