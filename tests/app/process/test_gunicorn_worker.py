"""Warnings of the gunicorn worker about low limits."""

from __future__ import annotations

import runpy

import pytest
from geventwebsocket.gunicorn.workers import GeventWebSocketWorker
from gunicorn import util, workers
from gunicorn.config import Config

from gentrifugo.app.process.gunicorn_worker import GentrifugoWorker, worker_warnings
from gentrifugo.app.runtime import limits
from gentrifugo.app.runtime.limits import Limit
from tests.gunicorn_server import SETTINGS


@pytest.mark.parametrize(("connections", "expected"), [(1000, True), (65535, True), (65536, False)])
def test_low_worker_connections_cause_a_warning(
    monkeypatch: pytest.MonkeyPatch, connections: int, expected: bool
) -> None:
    monkeypatch.setattr(limits, "all_limits", list)
    config = Config()
    config.set("worker_connections", connections)
    said = list(worker_warnings(config))
    assert bool(said) == expected
    if said:
        assert "further connections to a worker would hang" in said[0]


def test_limits_of_the_system_are_named_when_they_are_low(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config()
    config.set("worker_connections", 100_000)
    monkeypatch.setattr(limits, "all_limits", lambda: [Limit(True, "enough", ""), Limit(False, "low", "raise it")])
    assert list(worker_warnings(config)) == ["low; raise it"]


@pytest.mark.parametrize("name", ["gentrifugo.GentrifugoWorker", "egg:gentrifugo", "egg:gentrifugo#gentrifugo"])
def test_gunicorn_finds_the_worker_by_these_names(name: str) -> None:
    assert util.load_class(name) is GentrifugoWorker


def test_the_settings_give_both_workers_a_short_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("gentrifugo", "geventwebsocket"):
        monkeypatch.delitem(workers.SUPPORTED_WORKERS, name, raising=False)
    settings = runpy.run_path(str(SETTINGS))
    assert util.load_class(settings["worker_class"]) is GentrifugoWorker
    assert util.load_class("geventwebsocket") is GeventWebSocketWorker
