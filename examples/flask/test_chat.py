"""Users of the chat log in, send messages, and can be removed by the host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import chat
import pytest
from flask import Flask
from flask.testing import FlaskClient

from gentrifugo import ConnectionClosed
from gentrifugo.testing import RealtimeClient

Connect = Callable[..., RealtimeClient]


@pytest.fixture
def app() -> Iterator[Flask]:
    yield chat.create_app(TESTING=True)
    chat.removed.clear()


def logged_in(app: Flask, name: str) -> FlaskClient:
    """Return a test client that has logged in to the site."""
    browser = app.test_client()
    browser.post("/login", data={"name": name})
    return browser


def test_anonymous_user_cannot_connect(realtime_client: Connect) -> None:
    with pytest.raises(ConnectionClosed, match="log in first"):
        realtime_client()


def test_message_reaches_all_users_of_the_room(app: Flask, realtime_client: Connect) -> None:
    browser = logged_in(app, "Ann")
    ann = realtime_client(http=browser)
    ann.subscribe(chat.ROOM)
    bob = realtime_client(http=logged_in(app, "Bob"))
    bob.subscribe(chat.ROOM)
    assert {who.user for who in ann.presence(chat.ROOM).values()} == {"Ann", "Bob"}
    browser.post("/say", data={"text": "Hello"})
    for client in (ann, bob):
        assert [push.data for push in client.receive_all() if push.kind == "message"] == [
            {"user": "Ann", "text": "Hello"}
        ]


def test_host_removes_a_user(app: Flask, realtime_client: Connect) -> None:
    browser = logged_in(app, "Bob")
    bob = realtime_client(http=browser)
    logged_in(app, chat.HOST).post("/remove", data={"name": "Bob"})
    assert bob.closed is not None
    assert bob.closed.reason == "disconnect"
    with pytest.raises(ConnectionClosed, match="log in first"):
        realtime_client(http=browser)


def test_other_users_cannot_remove_a_user(app: Flask) -> None:
    assert logged_in(app, "Ann").post("/remove", data={"name": "Bob"}).status_code == 403


def test_anonymous_user_cannot_publish(app: Flask, published: list[Any]) -> None:
    app.test_client().post("/say", data={"text": "Hello"})
    assert published == []
