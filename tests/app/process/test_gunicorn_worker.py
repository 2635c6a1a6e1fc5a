"""What the gunicorn worker says of its limits."""

from __future__ import annotations

import pytest
from gunicorn.config import Config

from gentrifugo.app.process.gunicorn_worker import cautions
from gentrifugo.app.runtime import limits
from gentrifugo.app.runtime.limits import Limit


@pytest.mark.parametrize(("connections", "expected"), [(1000, True), (65535, True), (65536, False)])
def test_few_connections_are_named(monkeypatch: pytest.MonkeyPatch, connections: int, expected: bool) -> None:
    monkeypatch.setattr(limits, "all_limits", list)
    config = Config()
    config.set("worker_connections", connections)
    said = list(cautions(config))
    assert bool(said) == expected
    if said:
        assert f"client number {connections + 1:,} of a worker would hang" in said[0]


def test_limits_of_the_system_are_named_when_they_are_low(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config()
    config.set("worker_connections", 100_000)
    monkeypatch.setattr(limits, "all_limits", lambda: [Limit(True, "enough", ""), Limit(False, "low", "raise it")])
    assert list(cautions(config)) == ["low; raise it"]
