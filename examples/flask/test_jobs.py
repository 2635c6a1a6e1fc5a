"""Each visitor receives notifications only about their own jobs."""

from __future__ import annotations

from collections.abc import Callable

import jobs
import pytest
from flask import Flask

from gentrifugo import CommandError, ConnectionClosed, Gentrifugo
from gentrifugo.testing import RealtimeClient

Connect = Callable[..., RealtimeClient]


@pytest.fixture
def app() -> Flask:
    return jobs.create_app(TESTING=True)


def test_page_receives_the_progress_of_its_job(app: Flask, realtime: Gentrifugo, realtime_client: Connect) -> None:
    browser = app.test_client()
    browser.get("/")
    with browser.session_transaction() as session:
        channel = jobs.channel_of(session["visitor"])
    page = realtime_client(http=browser)
    page.subscribe(channel)
    realtime.publish(channel, {"job": "1", "done": 0.5})
    assert page.receive().data == {"job": "1", "done": 0.5}
    with pytest.raises(CommandError, match="permission denied"):
        page.subscribe(jobs.channel_of("somebody else"))


def test_client_without_the_page_session_cannot_connect(realtime_client: Connect) -> None:
    with pytest.raises(ConnectionClosed, match="invalid token"):
        realtime_client()
