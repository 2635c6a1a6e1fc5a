"""A message that is sent with curl arrives on the page."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import smallest
from flask import Flask

from gentrifugo.testing import RealtimeClient


@pytest.fixture
def app() -> Flask:
    return smallest.app


def test_page_receives_a_published_message(app: Flask, realtime_client: Callable[..., RealtimeClient]) -> None:
    page = realtime_client(user="42")
    page.subscribe("news")
    assert app.test_client().post("/tell/hello").status_code == 204
    assert page.receive().data == {"text": "hello"}
