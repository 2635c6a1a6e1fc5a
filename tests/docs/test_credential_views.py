"""The views of docs/tokens.md and docs/connections.md, in a site without the extension."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from werkzeug.serving import make_server

from gentrifugo.app.model import signing
from tests.clients.driver import Driver, node_driver
from tests.credentials import SECRET, connect_params
from tests.docs.pages import page
from tests.protocol_client import ProtocolClient
from tests.servers import Server

THIS = "tests/docs/test_credential_views.py"
CLIENT = "c1e90f3a-7b52-4d8e-a6c4-93f20d5b8e17"
MINE, OTHERS = "$inbox-42.", "$inbox-7."
ANN = {"user": 42, "name": "Ann"}

View = Callable[[str], Flask]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> View:
    """Make the application that a page shows."""
    monkeypatch.setenv("SESSION_KEY", "key")
    monkeypatch.setenv("CENTRIFUGO_SECRET", SECRET)

    def made(name: str) -> Flask:
        (block,) = (block for block in page(name).blocks if block.mark == f"run by {THIS}")
        names: dict[str, Any] = {"__name__": "site"}
        exec(compile(block.text, block.place, "exec"), names)
        app = names["app"]
        assert isinstance(app, Flask)
        return app

    return made


def post(app: Flask, path: str, body: Any, session: dict[str, Any]) -> tuple[int, Any]:
    """Status and decoded body of the answer to a browser with that session."""
    client = app.test_client()
    with client.session_transaction() as stored:
        stored.update(session)
    answer = client.post(path, json=body)
    return answer.status_code, answer.get_json(silent=True)


def cookie(app: Flask) -> str:
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    return f"session={serializer.dumps(ANN)}"


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """The address of the application on a free port."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def centrifuge_js(server: Server, **options: Any) -> Iterator[Driver]:
    """The client library in Node, connected."""
    url = f"ws://{server.host}:{server.port}/connection/websocket"
    with node_driver(
        "centrifuge_driver.js", json.dumps({"url": url, **connect_params("42"), **options}), package="centrifuge"
    ) as client:
        client.send(do="connect")
        client.wait_for("connect")
        yield client


class TestSigningChannels:
    """docs/tokens.md."""

    def test_each_channel_is_answered(self, site: View) -> None:
        asked = {"client": CLIENT, "channels": [MINE, OTHERS]}
        status, answers = post(site("tokens.md"), "/centrifuge/auth/", asked, ANN)
        info = '{"name": "Ann"}'
        assert (status, answers) == (
            200,
            {
                MINE: {"sign": signing.channel_sign(SECRET, CLIENT, MINE, info), "info": info},
                OTHERS: {"status": 403},
            },
        )

    @pytest.mark.parametrize(
        ("client", "session"),
        [(CLIENT, {}), ("71764000000", ANN), ("", ANN), (CLIENT + "1", ANN)],
        ids=["no session", "the beginning of a token", "no client", "too long"],
    )
    def test_a_request_without_session_or_client_id_is_refused(
        self, site: View, client: str, session: dict[str, Any]
    ) -> None:
        asked = {"client": client, "channels": [MINE]}
        assert post(site("tokens.md"), "/centrifuge/auth/", asked, session)[0] == 403

    def test_client_subscribes_with_the_signature_of_the_view_in_docs(
        self, site: View, start_server: Callable[..., Server]
    ) -> None:
        with ProtocolClient(start_server(), "42") as client:
            asked = {"client": client.id, "channels": [MINE]}
            answer = post(site("tokens.md"), "/centrifuge/auth/", asked, ANN)[1][MINE]
            assert client.subscribe(MINE, client=client.id, **answer)["status"]

    def test_centrifuge_js_requests_a_signature_and_subscribes(
        self, site: View, start_server: Callable[..., Server]
    ) -> None:
        app = site("tokens.md")
        with served(app) as address:
            options = {"authEndpoint": f"{address}/centrifuge/auth/", "authHeaders": {"Cookie": cookie(app)}}
            with centrifuge_js(start_server(), **options) as client:
                client.send(do="subscribe", channel=MINE)
                client.wait_for("subscribe", channel=MINE)
                client.send(do="subscribe", channel=OTHERS)
                assert client.wait_for("subscribe_error", channel=OTHERS)["error"] == 403


class TestRefreshing:
    """docs/connections.md."""

    def test_the_user_of_the_session_gets_credentials(self, site: View) -> None:
        status, given = post(site("connections.md"), "/centrifuge/refresh/", {}, ANN)
        expected = signing.credentials(SECRET, "42", int(given["timestamp"]), '{"name": "Ann"}')
        assert (status, given) == (200, expected)

    def test_anonymous_request_gets_no_credentials(self, site: View) -> None:
        assert post(site("connections.md"), "/centrifuge/refresh/", {}, {})[0] == 403

    def test_client_refreshes_with_the_credentials_of_the_view(
        self, site: View, start_server: Callable[..., Server]
    ) -> None:
        with ProtocolClient(start_server(connection_lifetime=60), "42") as client:
            given = post(site("connections.md"), "/centrifuge/refresh/", {}, ANN)[1]
            assert client.call("refresh", given)["body"]["expired"] is False

    def test_centrifuge_js_stays_connected(self, site: View, start_server: Callable[..., Server]) -> None:
        app = site("connections.md")
        # Timestamps are whole seconds: of a lifetime of one, nothing might be left when they arrive.
        server = start_server(connection_lifetime=2, expired_connection_close_delay=2, presence=True)
        with served(app) as address:
            options = {"refreshEndpoint": f"{address}/centrifuge/refresh/", "refreshHeaders": {"Cookie": cookie(app)}}
            with centrifuge_js(server, **options) as client:
                assert client.seen(4.5) == []
                client.send(do="subscribe", channel="news")
                client.wait_for("subscribe", channel="news")
                client.send(do="presence", channel="news")
                (there,) = client.wait_for("done")["body"]["data"].values()
                assert there["default_info"] == {"name": "Ann"}
