"""The dashboard measures only while a page is subscribed."""

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


def test_machine_is_measured_only_while_a_page_is_subscribed(realtime_client: Callable[..., RealtimeClient]) -> None:
    visitor = realtime_client()
    assert not dashboard.is_measuring()
    visitor.subscribe(dashboard.CHANNEL)
    assert dashboard.is_measuring()
    assert visitor.receive(timeout=5).data["memory"] > 0
    visitor.unsubscribe(dashboard.CHANNEL)
    assert not dashboard.is_measuring()
