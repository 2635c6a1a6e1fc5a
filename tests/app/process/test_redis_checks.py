"""Findings of the doctor about states of a Redis server that a test cannot create for real."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from gentrifugo.app.process.finding import OK, PROBLEM, WARNING, Finding
from gentrifugo.app.process.redis_checks import server_findings


class FakeRedis:
    """A Redis server that reports the values that the test has set."""

    def __init__(
        self, version: str = "7.2.4", role: str = "master", policy: str = "noeviction", clock: float = 0
    ) -> None:
        self._server_findings = {"redis_version": version, "role": role, "maxmemory_policy": policy}
        self._clock = clock

    def info(self, section: str) -> dict[str, str]:
        return self._server_findings

    def time(self) -> tuple[int, int]:
        return int(time.time() + self._clock), 0


def about(found: list[Finding], subject: str) -> Finding:
    (finding,) = [finding for finding in found if subject in str(finding)]
    return finding


@pytest.mark.parametrize(
    ("make", "state", "says"),
    [
        (lambda: FakeRedis(), OK, "reachable, version 7.2.4"),
        (lambda: FakeRedis(version="3.2.1"), PROBLEM, "version 3.2.1"),
        (lambda: FakeRedis(role="slave"), PROBLEM, "is a read-only replica"),
        (
            lambda: FakeRedis(policy="allkeys-lru"),
            WARNING,
            "evicts keys when its memory is full (maxmemory-policy allkeys-lru)",
        ),
        (lambda: FakeRedis(clock=100), WARNING, "clock differs from the clock of this machine by +"),
        (lambda: FakeRedis(), OK, "clock in sync"),
    ],
)
def test_redis_server_is_checked(make: Callable[[], FakeRedis], state: str, says: str) -> None:
    assert about(list(server_findings("Redis", make())), says).state == state
