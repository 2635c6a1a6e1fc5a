"""Requests that may open and use a session, if a hook decides by the cookies of the opening request."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from flask import Flask, session
from gevent.socket import socketpair

from gentrifugo import Context, Gentrifugo
from gentrifugo.app.http.opening_request import Opening
from gentrifugo.app.http.response import HTTPResponse
from gentrifugo.app.net.flusher import Flusher
from gentrifugo.app.runtime.timers import Timers
from gentrifugo.app.sockjs.endpoint import ROUTES, SockJS
from gentrifugo.app.sockjs.options import SockJSOptions
from gentrifugo.app.sockjs.peer import SockJSTransport
from gentrifugo.app.sockjs.session_directory import SessionDirectory
from tests.app.sockjs.fakes import FakePeer
from tests.app.sockjs.test_receivers import SocketExchange
from tests.flask_sites import in_thread, serve, site
from tests.sockjs_client import Answer, Connection, Service
from tests.waiting import seconds

__all__ = ["serve"]

EVIL, GOOD = "https://evil.example", "https://good.example"
OPENERS = sorted(ROUTES.keys() - {"xhr_send", "jsonp_send"})
STREAMS = ("xhr_streaming", "eventsource", "htmlfile")
NAVIGATION = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
IFRAME = {**NAVIGATION, "Sec-Fetch-Dest": "iframe"}
CONNECT = json.dumps([json.dumps({"uid": "1", "method": "connect", "params": {}})]).encode()


@pytest.fixture
def app() -> Flask:
    app = site(GENTRIFUGO_ALLOWED_ORIGINS=GOOD, GENTRIFUGO_SOCKJS_HEARTBEAT_DELAY=0)
    rt = Gentrifugo(app)

    @rt.on_connect
    def connect(context: Context) -> bool:
        context.user = session.get("user", "")
        return bool(context.user)

    @app.get("/login/<user>")
    def login(user: str) -> str:
        session["user"] = user
        return ""

    return app


class Browser:
    """A browser of the site: it stores cookies, and sends them with every request."""

    def __init__(self, port: int) -> None:
        self.host = f"127.0.0.1:{port}"
        self.service = Service("127.0.0.1", port, "")
        self.cookies: dict[str, str] = {}

    def stranger(self) -> Browser:
        """Another browser at the same server; `service` is closed once for both."""
        other = Browser(self.service.port)
        other.service = self.service
        return other

    def login(self, user: str) -> None:
        assert self.request("GET", f"/login/{user}", {}).status == 200

    def headers(self, more: dict[str, str]) -> dict[str, str]:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {**({"Cookie": cookie} if cookie else {}), **more}

    def store(self, answer: Answer) -> None:
        if "set-cookie" in answer.headers:
            name, _, value = answer.headers["set-cookie"].partition(";")[0].partition("=")
            self.cookies[name] = value

    def request(self, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> Answer:
        answer: Answer = in_thread(self.service.request, method, path, self.headers(headers), body)
        self.store(answer)
        return answer

    def to(self, key: str, transport: str, headers: dict[str, str] | None = None, body: bytes | None = None) -> int:
        """The status of one request to a session; a stream is closed after its head."""
        path = f"/realtime/connection/000/{key}/{transport}?c=f"
        method = ROUTES[transport].method
        own = {"Referer": f"http://{self.host}/"} if headers is None else headers
        if transport in STREAMS:
            return self.open(key, transport, own).status
        return self.request(method, path, own, body).status

    def open(self, key: str, transport: str, headers: dict[str, str]) -> Answer:
        """The head of a stream, which is left open until `close`."""

        def start() -> Answer:
            path = f"/realtime/connection/000/{key}/{transport}?c=f"
            connection: Connection = self.service.start(ROUTES[transport].method, path, self.headers(headers))
            return connection.head()

        answer: Answer = in_thread(start)
        self.store(answer)
        return answer


@pytest.fixture
def browser(app: Flask, serve: Callable[[Flask], int]) -> Iterator[Browser]:
    browser = Browser(serve(app))
    browser.login("alice")
    yield browser
    browser.service.close()


def new_key() -> str:
    return uuid.uuid4().hex


class TestWhoOpensASession:
    @pytest.mark.parametrize("transport", sorted(ROUTES))
    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": EVIL},
            {"Origin": "null"},
            {"Referer": f"{EVIL}/page"},
            {"Origin": EVIL, "Referer": f"{GOOD}/page"},
            {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
            {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
            {"Referer": f"{EVIL}/", **NAVIGATION, "Sec-Fetch-Site": "cross-site"},
            {**NAVIGATION, "Sec-Fetch-Site": "none"},
            NAVIGATION,
        ],
    )
    def test_no_transport_is_open_to_pages_of_other_origins_or_to_windows(
        self, browser: Browser, transport: str, headers: dict[str, str]
    ) -> None:
        assert browser.to(new_key(), transport, headers, b"[]") == 403

    @pytest.mark.parametrize("transport", OPENERS)
    @pytest.mark.parametrize("headers", [{"Origin": GOOD}, {"Referer": f"{GOOD}/page"}, {}])
    def test_pages_of_allowed_origins_open_one_by_every_transport(
        self, browser: Browser, transport: str, headers: dict[str, str]
    ) -> None:
        assert browser.to(new_key(), transport, headers or None) == 200

    @pytest.mark.parametrize("transport", OPENERS)
    def test_a_page_of_the_own_origin_may_hide_its_address(self, browser: Browser, transport: str) -> None:
        assert browser.to(new_key(), transport, {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}) == 200

    @pytest.mark.parametrize("transport", ["eventsource", "htmlfile", "jsonp"])
    @pytest.mark.parametrize("name", ["Cookie", "Authorization"])
    def test_a_get_with_credentials_must_name_its_page(self, browser: Browser, transport: str, name: str) -> None:
        assert browser.stranger().to(new_key(), transport, {name: "a=b"}) == 403

    @pytest.mark.parametrize("transport", ["eventsource", "xhr"])
    def test_a_program_without_credentials_names_no_page(self, browser: Browser, transport: str) -> None:
        assert browser.stranger().to(new_key(), transport, {}) == 200

    def test_only_htmlfile_is_loaded_into_an_iframe_of_a_page_of_the_same_origin(self, browser: Browser) -> None:
        own = {"Referer": f"http://{browser.host}/", **IFRAME}
        assert [transport for transport in OPENERS if browser.to(new_key(), transport, own) == 200] == ["htmlfile"]
        listed = {"Referer": f"{GOOD}/", **IFRAME, "Sec-Fetch-Site": "cross-site"}
        assert browser.to(new_key(), "htmlfile", listed) == 403

    def test_a_form_in_an_iframe_sends_for_jsonp(self, browser: Browser) -> None:
        key = new_key()
        assert browser.to(key, "jsonp") == 200
        form = {"Origin": GOOD, **IFRAME, "Sec-Fetch-Site": "cross-site"}
        assert browser.to(key, "jsonp_send", form, CONNECT) == 200


class TestWhoReachesASession:
    @pytest.mark.parametrize("opener", OPENERS)
    @pytest.mark.parametrize("transport", sorted(ROUTES))
    def test_session_id_alone_does_not_open_a_session(
        self, browser: Browser, opener: str, transport: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG, "gentrifugo")
        key, stranger, bob = new_key(), browser.stranger(), browser.stranger()
        bob.login("bob")
        assert browser.to(key, opener) == 200
        for other in (stranger, bob):
            assert other.to(key, transport, body=CONNECT) == 404
        assert "another client" in caplog.text
        assert browser.to(key, "xhr_send", body=CONNECT) == 204

    def test_request_of_another_browser_is_answered_like_an_unknown_session(self, browser: Browser) -> None:
        key, stranger = new_key(), browser.stranger()
        assert browser.to(key, "xhr_streaming") == 200
        refused, absent = (
            stranger.request("POST", f"/realtime/connection/000/{name}/xhr_send", {}, CONNECT)
            for name in (key, new_key())
        )
        for answer in (refused, absent):
            del answer.headers["date"]
        assert refused == absent

    def test_too_large_request_of_another_browser_does_not_end_a_session(self, browser: Browser) -> None:
        key, stranger = new_key(), browser.stranger()
        assert browser.to(key, "xhr_streaming") == 200
        assert stranger.to(key, "xhr_send", body=b"x" * 200_000) == 413
        assert browser.to(key, "xhr_send", body=CONNECT) == 204

    @pytest.mark.parametrize("opener", OPENERS)
    def test_browser_with_a_renewed_session_cookie_keeps_its_session(self, browser: Browser, opener: str) -> None:
        key = new_key()
        assert browser.to(key, opener) == 200
        browser.cookies["session"] = "renewed"
        assert browser.to(key, "xhr_send", body=CONNECT) == 204

    def test_program_without_cookie_storage_keeps_its_session(self, browser: Browser) -> None:
        key, cookies = new_key(), dict(browser.cookies)
        assert browser.to(key, "xhr") == 200
        browser.cookies = cookies
        assert browser.to(key, "xhr_send", body=CONNECT) == 204

    def test_all_sessions_of_a_browser_have_one_secret(self, browser: Browser) -> None:
        first, second = new_key(), new_key()
        assert browser.to(first, "xhr") == 200
        secret = browser.cookies["gentrifugo_sockjs"]
        assert browser.to(second, "xhr") == 200
        assert browser.cookies["gentrifugo_sockjs"] == secret
        browser.cookies["session"] = "renewed"
        assert [browser.to(key, "xhr_send", body=CONNECT) for key in (first, second)] == [204, 204]

    def test_session_without_credentials_has_no_binding(self, browser: Browser) -> None:
        key, stranger = new_key(), browser.stranger()
        assert stranger.to(key, "xhr", {}) == 200
        assert not stranger.cookies
        assert browser.stranger().to(key, "xhr_send", {}, CONNECT) == 204


class TestIframePage:
    """Scripts in the iframe page have the origin of the application, and can make any request to its views."""

    @pytest.mark.parametrize(
        ("allowed", "ancestors"),
        [
            ("auto", "'self'"),
            ("*", "'self'"),
            ("", "'self'"),
            (f"{GOOD},*", f"'self' {GOOD}"),
            (GOOD, f"'self' {GOOD}"),
        ],
    )
    def test_iframe_page_of_an_application_cannot_be_embedded_by_other_origins(
        self, serve: Callable[[Flask], int], allowed: str, ancestors: str
    ) -> None:
        app = site(GENTRIFUGO_SOCKJS_IFRAME=True, GENTRIFUGO_ALLOWED_ORIGINS=allowed)
        Gentrifugo(app)
        page = Browser(serve(app)).request("GET", "/realtime/connection/iframe.html", {})
        assert page.status == 200
        assert page.headers["content-security-policy"] == f"frame-ancestors {ancestors}"

    def test_application_serves_the_iframe_page_only_with_the_option(self, browser: Browser) -> None:
        for name in ("iframe.html", "iframe-1.6.1.html"):
            assert browser.request("GET", f"/realtime/connection/{name}", {"If-None-Match": "*"}).status == 404


def test_without_hooks_cookies_create_no_binding(serve: Callable[[Flask], int]) -> None:
    app = site(GENTRIFUGO_SECRET="s")
    Gentrifugo(app)
    browser = Browser(serve(app))
    key = new_key()
    browser.cookies["a"] = "b"
    assert browser.to(key, "xhr", {"Origin": EVIL}) == 200
    assert browser.cookies == {"a": "b"}
    assert browser.stranger().to(key, "xhr_send", {}, CONNECT) == 204
    assert browser.to(new_key(), "eventsource", {"Origin": EVIL, **NAVIGATION}) == 403
    browser.service.close()


class PassedExchange(SocketExchange):
    """A request on a connection that another process has passed to this one."""

    def __init__(self, path: str, socket: Any) -> None:
        super().__init__("POST", path, "HTTP/1.1", {}, socket, was_passed=True)
        self.status = 0

    def start(self, response: HTTPResponse) -> None:
        self.status = response.status
        super().start(response)

    def respond(self, response: HTTPResponse) -> None:
        self.status = response.status
        super().respond(response)


@pytest.mark.parametrize("transport", ["xhr", "xhr_streaming"])
def test_a_session_that_another_process_opens_at_the_same_moment_is_not_opened_twice(
    nothing_left_behind: None, transport: str
) -> None:
    """A request is passed to another process once, so this one answers it."""

    def connect(transport: SockJSTransport, opening: Opening | None) -> FakePeer:
        raise AssertionError("no session is opened here")

    def serve_raw(*arguments: Any, **named: Any) -> None:
        raise AssertionError("nobody asks for a WebSocket")

    with TemporaryDirectory() as parent:
        directories = [SessionDirectory("group", Path(parent)) for _ in range(2)]
        listeners = [directory.join() for directory in directories]
        endpoint = SockJS("/sockjs", connect, serve_raw, Flusher(0), Timers(), SockJSOptions, directories[0])
        assert directories[1].claim("key")
        ours, client = socketpair()
        client.settimeout(seconds(5))
        exchange = PassedExchange(f"/000/key/{transport}", ours)
        endpoint.serve(exchange)
        ours.close()
        received = b""
        while data := client.recv(65536):
            received += data
        client.close()
        assert exchange.status == 200
        assert b'c[2010,"Another connection still open"]' in received
        for directory, listener in zip(directories, listeners, strict=True):
            directory.leave()
            listener.close()
