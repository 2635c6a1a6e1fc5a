"""The dashboard measures only while somebody looks on."""

from __future__ import annotations

from collections.abc import Callable

import dashboard
import pytest
from flask import Flask

from gentrifugo.testing import RealtimeClient


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Flask:
    monkeypatch.setattr(dashboard, "INTERVAL", 0.01)
    return dashboard.create_app(TESTING=True)


def test_it_measures_while_somebody_looks_on(realtime_client: Callable[..., RealtimeClient]) -> None:
    visitor = realtime_client()
    assert not dashboard.is_measuring()
    visitor.subscribe(dashboard.CHANNEL)
    assert dashboard.is_measuring()
    assert visitor.receive(timeout=5).data["memory"] > 0
    visitor.unsubscribe(dashboard.CHANNEL)
    assert not dashboard.is_measuring()
