"""Behaviour of WebSocket handshakes at paths without a WebSocket: the response and the log name the right path."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from gentrifugo import Gentrifugo
from gentrifugo.app.extension.wsgi import flask_app, port_app
from gentrifugo.app.http.misplaced_handshake import MAX_LOGGED_PATHS, forget_misplaced_handshakes, is_handshake
from gentrifugo.app.service import Service
from tests.app.conftest import config
from tests.flask_sites import in_thread, serve, site
from tests.sockjs_client import Service as Peer

__all__ = ["serve"]

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.fixture(autouse=True)
def nothing_logged_before(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    forget_misplaced_handshakes()
    caplog.set_level("INFO", "gentrifugo")
    yield
    forget_misplaced_handshakes()


def refusals(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [message for message in caplog.messages if "handshake" in message]


@pytest.mark.parametrize(
    ("header", "expected"), [("websocket", True), ("WebSocket", True), ("h2c", False), ("", False)]
)
def test_header_identifies_a_handshake(header: str, expected: bool) -> None:
    assert is_handshake("GET", header) is expected
    assert not is_handshake("POST", header)


@pytest.mark.parametrize("options", [{}, {"web": True, "admin": True}, {"http_prefix": "/realtime"}])
@pytest.mark.parametrize("path", ["/", "/ws", "/connections/websocket"])
def test_path_that_the_server_does_not_have_is_refused_with_the_right_one(
    options: dict[str, object], path: str, caplog: pytest.LogCaptureFixture
) -> None:
    expected = f"{options.get('http_prefix', '')}/connection/websocket"
    refused = flask_app(config(**options)).test_client().get(path, headers=UPGRADE)
    assert (refused.status_code, refused.text) == (404, f"no WebSocket here; the path for clients is {expected}\n")
    assert refusals(caplog) == [f"WebSocket handshake at {path!r} refused: the path for clients is {expected}"]


@pytest.fixture
def app() -> Flask:
    app = site()
    Gentrifugo(app)
    return app


@pytest.mark.parametrize("path", ["", "/", "/websocket/", "/websockets"])
def test_path_below_the_endpoint_is_refused_with_the_right_one(
    path: str, app: Flask, serve: Callable[[Flask], int], caplog: pytest.LogCaptureFixture
) -> None:
    peer = Peer("127.0.0.1", serve(app), "/realtime/connection")
    refused = in_thread(lambda: peer.request("GET", path, headers=UPGRADE))
    assert refused.status == 404
    assert refused.text == "no WebSocket here; the path for clients is /realtime/connection/websocket\n"
    assert len(refusals(caplog)) == 1


def test_client_of_a_site_that_omits_the_prefix_is_logged_with_the_right_path(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    assert app.test_client().get("/connection/websocket", headers=UPGRADE).status_code == 404
    (said,) = refusals(caplog)
    assert said.endswith("the path for clients is /realtime/connection/websocket")


def test_other_requests_are_not_handshakes(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    app.test_client().get("/connection/websocket")
    flask_app(config()).test_client().get("/ws")
    assert refusals(caplog) == []


def test_port_without_clients_names_no_path_for_them() -> None:
    refused = port_app(Service(config()), ["api"]).test_client().get("/ws", headers=UPGRADE)
    assert refused.status_code == 404
    assert "path for clients" not in refused.text


def test_paths_that_a_peer_invents_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    client = flask_app(config()).test_client()
    for number in range(3 * MAX_LOGGED_PATHS):
        client.get(f"/{number}", headers=UPGRADE)
        client.get("/ws", headers=UPGRADE)
    assert len(refusals(caplog)) == MAX_LOGGED_PATHS
