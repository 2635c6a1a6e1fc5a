"""Hooks inside Flask applications: sessions as credentials, contexts, and the paths where pages request credentials."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from typing import Any

import gevent
import pytest
from flask import Flask, Response, abort, current_app, g, redirect, render_template_string, session
from flask.sessions import SecureCookieSessionInterface

from gentrifugo import Context, Gentrifugo, Refuse
from tests.credentials import sign
from tests.flask_sites import in_thread, serve, service_in, site, status
from tests.greenlets import eventually
from tests.waiting import seconds
from tests.websocket_client import HandshakeRefused, WebSocketClient

__all__ = ["serve"]

Serve = Callable[[Flask], int]
Connect = Callable[..., WebSocketClient]
SECRET = "s"
CLIENT = "1c30a4e0-5a4b-4f0e-9d6f-0c1de0000001"
PATH = "/realtime/connection/websocket"
DECORATORS = (
    "on_connect",
    "on_subscribe",
    "on_private_subscribe",
    "on_publish",
    "on_refresh",
    "on_disconnect",
    "on_channel_occupied",
    "on_channel_vacated",
)


def cookie(app: Flask, **values: Any) -> dict[str, str]:
    """The header of a browser whose session has these values."""
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None
    return {"Cookie": f"session={serializer.dumps(values)}"}


@pytest.fixture
def connect(serve: Serve) -> Iterator[Connect]:
    """Open a WebSocket; all are closed at the end, before their server is."""
    clients: list[WebSocketClient] = []

    def opened(port: int, headers: dict[str, str] | None = None, path: str = PATH) -> WebSocketClient:
        clients.append(in_thread(WebSocketClient.connect, "127.0.0.1", port, path=path, headers=headers))
        return clients[-1]

    yield opened
    for client in clients:
        client.sock.close()


def call(client: WebSocketClient, method: str, /, **params: Any) -> Any:
    def exchange() -> Any:
        client.send_json({"uid": "1", "method": method, "params": params})
        return client.recv_json()

    return in_thread(exchange)


def post(port: int, path: str, body: Any, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    """Status and decoded body of the answer, as far as it is JSON."""
    answer: tuple[int, Any] = in_thread(_post, port, path, body, headers or {})
    return answer


def _post(port: int, path: str, body: Any, headers: dict[str, str]) -> tuple[int, Any]:
    connection = HTTPConnection("127.0.0.1", port, timeout=seconds(5))
    try:
        data = body if isinstance(body, bytes) else json.dumps(body)
        connection.request("POST", path, data, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    return response.status, json.loads(text) if response.headers["Content-Type"] == "application/json" else text


def answered(port: int, method: str, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str]]:
    """Status and headers of the answer to a request without a body; the names are in lower case."""

    def exchange() -> tuple[int, dict[str, str]]:
        connection = HTTPConnection("127.0.0.1", port, timeout=seconds(5))
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            response.read()
        finally:
            connection.close()
        return response.status, {name.lower(): value for name, value in response.getheaders()}

    answer: tuple[int, dict[str, str]] = in_thread(exchange)
    return answer


@pytest.fixture
def app() -> Flask:
    return site(GENTRIFUGO_SECRET=SECRET, GENTRIFUGO_HISTORY_SIZE=5, GENTRIFUGO_HISTORY_LIFETIME=60)


@pytest.fixture
def rt(app: Flask) -> Gentrifugo:
    return Gentrifugo(app)


def by_session(context: Context) -> object:
    if "user" not in session:
        return False
    context.user = session["user"]
    return None


class TestSessions:
    def test_client_can_connect_with_only_a_session(
        self, app: Flask, rt: Gentrifugo, connect: Connect, serve: Serve
    ) -> None:
        rt.on_connect(by_session)
        port = serve(app)
        client = connect(port, cookie(app, user="42"))
        assert "error" not in call(client, "connect")
        rt.disconnect("42")
        assert in_thread(client.wait_closed).advice == {"reason": "disconnect", "reconnect": False}

    def test_client_without_session_is_refused(
        self, app: Flask, rt: Gentrifugo, connect: Connect, serve: Serve
    ) -> None:
        rt.on_connect(by_session)
        client = connect(serve(app), {"Cookie": "session=made.up"})
        in_thread(client.send_json, {"method": "connect", "params": {}})
        assert in_thread(client.wait_closed).advice == {"reason": "permission denied", "reconnect": False}

    @pytest.mark.parametrize("allowed", [None, "*"])
    def test_pages_of_other_origins_are_refused_unless_an_option_allows_them(
        self, app: Flask, connect: Connect, serve: Serve, allowed: str | None
    ) -> None:
        rt = Gentrifugo()
        rt.on_connect(by_session)
        rt.init_app(app, {"allowed_origins": allowed} if allowed else None)
        port = serve(app)
        headers = {**cookie(app, user="42"), "Origin": "https://evil.example"}
        if allowed:
            connect(port, headers)
        else:
            with pytest.raises(HandshakeRefused, match="403"):
                connect(port, headers)
            connect(port, {"Origin": f"http://127.0.0.1:{port}"})

    def test_refused_origins_are_logged_for_each_application(
        self, connect: Connect, serve: Serve, caplog: pytest.LogCaptureFixture
    ) -> None:
        rt = Gentrifugo()
        rt.on_connect(by_session)
        for app in (site(GENTRIFUGO_WEB=True, GENTRIFUGO_INSECURE_ADMIN=True) for _ in range(2)):
            rt.init_app(app)
            port = serve(app)
            caplog.clear()
            for path in 2 * (PATH, "/realtime/socket"):
                with pytest.raises(HandshakeRefused, match="403"):
                    connect(port, {"Origin": "https://evil.example"}, path)
            first, second = caplog.messages
            assert "allowed_origins" in first
            assert "at the admin endpoints" in second

    def test_pages_require_only_the_address(self, app: Flask, rt: Gentrifugo) -> None:
        with app.test_request_context(), pytest.raises(TypeError, match="user is required"):
            rt.connection_params()
        rt.on_connect(by_session)
        with app.test_request_context(base_url="https://chat.example"):
            shown = render_template_string("{{ gentrifugo_params()|tojson }}")
        assert json.loads(shown) == {"url": "https://chat.example/realtime", "insecure": True}


def returning(answer: object) -> Callable[[Context], object]:
    return lambda context: answer


def aborting(*arguments: Any) -> Callable[[Context], object]:
    return lambda context: abort(*arguments)


class TestHooksThatAnswerAsViewsDo:
    """Decorators for views, such as those of Flask-Login, can only refuse in the ways of views."""

    @pytest.mark.parametrize(
        ("hook", "reason", "reconnect"),
        [
            (aborting(401), "permission denied", False),
            (aborting(403), "permission denied", False),
            (aborting(403, "members only"), "members only", False),
            (aborting(redirect("/login")), "permission denied", False),
            (aborting(404), "internal server error", True),
            (aborting(503), "internal server error", True),
            (returning(redirect("/login")), "permission denied", False),
            (returning(Response("go away", 403)), "permission denied", False),
            (returning(Response()), "permission denied", False),
            (returning(("go away", 403)), "permission denied", False),
        ],
    )
    def test_refusal_in_the_way_of_a_view_refuses_the_event(
        self,
        app: Flask,
        rt: Gentrifugo,
        connect: Connect,
        serve: Serve,
        hook: Callable[[Context], object],
        reason: str,
        reconnect: bool,
    ) -> None:
        rt.on_connect(lambda context: setattr(context, "user", "42"))
        rt.on_connect(hook)
        client = connect(serve(app))
        in_thread(client.send_json, {"method": "connect", "params": {}})
        assert in_thread(client.wait_closed).advice == {"reason": reason, "reconnect": reconnect}

    def test_log_contains_the_name_of_a_decorated_hook(
        self, app: Flask, rt: Gentrifugo, connect: Connect, serve: Serve, caplog: pytest.LogCaptureFixture
    ) -> None:
        rt.on_connect(aborting(404))
        client = connect(serve(app))
        in_thread(client.send_json, {"method": "connect", "params": {}})
        in_thread(client.wait_closed)
        assert "hook aborting.<locals>.<lambda> (connect) failed" in caplog.text

    def test_results_of_notification_hooks_are_ignored(self, app: Flask, rt: Gentrifugo) -> None:
        rt.on_disconnect(returning(Response()))
        assert service_in(app).node.hooks.notify(Context("disconnect"))


class TestContext:
    def test_hooks_receive_the_request_that_opened_the_connection(
        self, app: Flask, rt: Gentrifugo, connect: Connect, serve: Serve
    ) -> None:
        seen: list[object] = []

        @rt.on_connect
        def hook(context: Context) -> None:
            request = context.request
            seen.extend([request.path, request.args["a"], request.headers["X-Name"], request.remote_addr])
            seen.extend([current_app.name, session.get("user"), request.host])
            context.user = ""

        port = serve(app)
        client = connect(port, {**cookie(app, user="42"), "X-Name": "Ann"}, f"{PATH}?a=1%262")
        call(client, "connect")
        assert seen == [PATH, "1&2", "Ann", "127.0.0.1", "site", "42", f"127.0.0.1:{port}"]

    def test_teardown_functions_of_the_application_run_after_a_hook(
        self, app: Flask, rt: Gentrifugo, connect: Connect, serve: Serve
    ) -> None:
        torn: list[object] = []
        app.teardown_appcontext(lambda error: torn.append(g.pop("db", None)))

        def hook(context: Context) -> None:
            assert "db" not in g
            g.db = context.event
            context.user = "42"

        for on in (rt.on_connect, rt.on_subscribe, rt.on_channel_occupied, rt.on_disconnect):
            on(hook)
        client = connect(serve(app))
        call(client, "connect")
        call(client, "subscribe", channel="news")
        client.sock.close()
        eventually(lambda: len(torn) == 4)
        assert sorted(map(str, torn)) == ["channel_occupied", "connect", "disconnect", "subscribe"]

    def test_hooks_can_publish_messages(self, app: Flask, rt: Gentrifugo, connect: Connect, serve: Serve) -> None:
        @rt.on_subscribe
        def greet(context: Context) -> None:
            rt.publish("news", {"welcome": context.user})

        port = serve(app)
        with app.test_request_context(base_url=f"http://127.0.0.1:{port}"):
            params = rt.connection_params("42")
        client = connect(port)
        call(client, "connect", **params)
        call(client, "subscribe", channel="news")
        assert rt.history("news")[0].data == {"welcome": "42"}

    def test_the_hooks_of_an_extension_are_those_of_all_its_applications(self, serve: Serve) -> None:
        rt, first, second, other = Gentrifugo(), site(), site(), site()
        rt.init_app(first)
        rt.on_connect(by_session)
        rt.init_app(second)
        Gentrifugo(other)
        assert [bool(service_in(app).node.hooks) for app in (first, second, other)] == [True, True, False]


class TestRegistration:
    def test_error_for_a_late_hook_contains_its_name_and_advice(self, app: Flask, rt: Gentrifugo, serve: Serve) -> None:
        serve(app)
        says = (
            r"hook by_session \(on_connect\) is registered too late: the server of the application 'site' has started"
            r"\. Register hooks while the application is being created"
        )
        with pytest.raises(RuntimeError, match=says):
            rt.on_connect(by_session)

    @pytest.mark.parametrize("event", DECORATORS)
    def test_every_hook_has_a_decorator_with_its_name(
        self, app: Flask, rt: Gentrifugo, serve: Serve, event: str
    ) -> None:
        serve(app)
        with pytest.raises(RuntimeError, match=rf"hook by_session \({event}\) is registered too late"):
            getattr(rt, event)(by_session)

    def test_a_hook_is_registered_in_all_applications_or_in_none(self, serve: Serve) -> None:
        rt, first, second, third = Gentrifugo(), site(), site(), site()
        rt.init_app(first)
        rt.init_app(second)
        serve(second)
        with pytest.raises(RuntimeError, match="too late"):
            rt.on_connect(by_session)
        rt.init_app(third)
        assert [bool(service_in(app).node.hooks) for app in (first, second, third)] == [False, False, False]

    @pytest.mark.parametrize("event", DECORATORS)
    def test_a_decorator_returns_the_function(self, event: str) -> None:
        rt = Gentrifugo()
        assert getattr(rt, event)(by_session) is by_session

    def test_registering_an_object_that_is_not_a_hook_is_refused(self) -> None:
        async def hook(context: Context) -> None: ...

        def connected() -> None: ...

        rt = Gentrifugo()
        with pytest.raises(TypeError, match=r"hook .*hook for connect is a coroutine"):
            rt.on_connect(hook)
        with pytest.raises(TypeError, match=r"a hook for publish must be a function, not str"):
            rt.on_publish("hook")  # type: ignore[type-var]
        with pytest.raises(TypeError, match=r"hook .*connected \(on_connect\) must take one argument: the context"):
            rt.on_connect(connected)  # type: ignore[type-var]
        rt.init_app(site())  # none was registered

    def test_hook_behind_a_decorator_that_adds_arguments_is_accepted(self) -> None:
        def connected(context: Context, session: str) -> None: ...

        @functools.wraps(connected)
        def with_session(context: Context) -> None:
            connected(context, "session")

        rt = Gentrifugo()
        assert rt.on_connect(with_session) is with_session


class TestSigningChannels:
    @pytest.fixture
    def port(self, app: Flask, rt: Gentrifugo, serve: Serve) -> int:
        @rt.on_private_subscribe
        def hook(context: Context) -> None:
            if context.channel == "$broken":
                raise ValueError("secret")
            if context.channel != f"$of-{session.get('user')}":
                raise Refuse
            context.info = {"client": context.client}

        return serve(app)

    def test_each_channel_of_a_batch_is_answered(self, app: Flask, port: int) -> None:
        channels = ["$of-42", "$of-7", "$broken", "news", "$of-42"]
        asked = {"client": CLIENT, "channels": channels}
        status, answers = post(port, "/centrifuge/auth/", asked, cookie(app, user="42"))
        info = json.dumps({"client": CLIENT}, separators=(",", ":"))
        assert (status, answers) == (
            200,
            {
                "$of-42": {"sign": sign(CLIENT, "$of-42", info, secret=SECRET), "info": info},
                "$of-7": {"status": 403},
                "$broken": {"status": 500},
                "news": {"status": 403},
            },
        )

    def test_client_subscribes_with_the_signature_of_the_view(
        self, app: Flask, rt: Gentrifugo, connect: Connect, port: int
    ) -> None:
        with app.test_request_context(base_url=f"http://127.0.0.1:{port}"):
            params = rt.connection_params("42")
        client = connect(port)
        uid = call(client, "connect", **params)["body"]["client"]
        asked = {"client": uid, "channels": ["$of-42"]}
        answer = post(port, "/centrifuge/auth/", asked, cookie(app, user="42"))[1]["$of-42"]
        reply = call(client, "subscribe", channel="$of-42", client=uid, **answer)
        assert reply["body"]["status"]

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b"", 400),
            (b"[]", 400),
            (b'{"client": "c1"}', 400),
            (b'{"client": 1, "channels": []}', 400),
            (b'{"client": "c1", "channels": "news"}', 400),
            (b" " * 70000, 413),
        ],
    )
    def test_invalid_request_for_signatures_is_refused(self, port: int, body: bytes, status: int) -> None:
        assert post(port, "/centrifuge/auth/", body)[0] == status

    def test_more_channels_than_a_client_may_have_are_refused_before_any_hook_is_called(
        self, serve: Serve, app: Flask, rt: Gentrifugo
    ) -> None:
        asked_about: list[str] = []
        rt.on_private_subscribe(lambda context: asked_about.append(context.channel))
        port = serve(app)
        limit = service_in(app).config.client_channel_limit
        channels = [f"${number}" for number in range(limit)]
        for more, expected in (([], 200), (channels, 200), (["$more"], 400), ([f"${n}" for n in range(6000)], 400)):
            asked_about.clear()
            asked = {"client": CLIENT, "channels": [*channels, *more]}
            assert post(port, "/centrifuge/auth/", asked)[0] == expected
            assert len(asked_about) == (limit if expected == 200 else 0)

    @pytest.mark.parametrize("client", ["", "11764000000", CLIENT[:-1], f"{CLIENT}\n"])
    def test_invalid_client_id_is_not_signed(self, app: Flask, port: int, client: str) -> None:
        """As a part of a token, such an ID could be read as a user and a timestamp."""
        asked = {"client": client, "channels": ["$of-42"]}
        assert post(port, "/centrifuge/auth/", asked, cookie(app, user="42"))[0] == 400

    def test_without_hooks_the_site_has_no_signature_endpoint(self, serve: Serve) -> None:
        app = site()
        app.add_url_rule("/centrifuge/auth/", "mine", lambda: "the site's", methods=["POST"])
        Gentrifugo(app)
        port = serve(app)
        assert post(port, "/centrifuge/auth/", {}) == (200, "the site's")
        assert post(port, "/centrifuge/refresh/", {})[0] == 404

    @pytest.mark.parametrize("path", ["/sign", ""])
    def test_the_path_is_an_option(self, serve: Serve, path: str) -> None:
        app = site(GENTRIFUGO_AUTH_ENDPOINT=path)
        rt = Gentrifugo(app)
        rt.on_private_subscribe(lambda context: None)
        port = serve(app)
        assert post(port, "/sign", {})[0] == (400 if path else 404)
        assert post(port, "/centrifuge/auth/", {})[0] == 404

    @pytest.mark.parametrize("path", ["/centrifuge/auth/", "/centrifuge/refresh/"])
    @pytest.mark.parametrize("allowed", ["", "https://page.example"])
    def test_pages_of_other_origins_get_no_signatures(self, serve: Serve, path: str, allowed: str) -> None:
        app = site(**({"GENTRIFUGO_ALLOWED_ORIGINS": allowed} if allowed else {}))
        rt = Gentrifugo(app)
        rt.on_private_subscribe(lambda context: None)
        rt.on_refresh(lambda context: setattr(context, "user", "42"))
        port = serve(app)
        asked = {"client": CLIENT, "channels": ["$mine"]}
        for origin, answer in ((f"http://127.0.0.1:{port}", 200), ("https://page.example", 200 if allowed else 403)):
            assert post(port, path, asked, {"Origin": origin})[0] == answer
            # A browser sends this without asking the server first.
            assert post(port, path, asked, {"Origin": "https://evil.example", "Content-Type": "text/plain"})[0] == 403
        assert post(port, path, asked)[0] == 200

    @pytest.mark.parametrize("path", ["/centrifuge/auth/", "/centrifuge/refresh/"])
    def test_pages_of_listed_origins_can_request_and_read_signatures(self, serve: Serve, path: str) -> None:
        """The requests of centrifuge-js in a browser, including the CORS preflight request."""
        app = site(GENTRIFUGO_ALLOWED_ORIGINS=["https://page.example", "capacitor://localhost", "null"])
        rt = Gentrifugo(app)
        rt.on_private_subscribe(lambda context: None)
        rt.on_refresh(lambda context: False)
        port = serve(app)
        wanted = "content-type,x-requested-with"
        asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": wanted}
        for origin in ("https://page.example", "capacitor://localhost", "null", f"http://127.0.0.1:{port}"):
            cors = {"access-control-allow-origin": origin, "access-control-allow-credentials": "true", "vary": "Origin"}
            code, headers = answered(port, "OPTIONS", path, {"Origin": origin, **asks})
            assert (code, cors.items() <= headers.items()) == (204, True)
            assert headers["access-control-allow-methods"] == "POST"
            assert headers["access-control-allow-headers"] == wanted
            code, headers = answered(port, "POST", path, {"Origin": origin})
            assert (code in (400, 403), cors.items() <= headers.items()) == (True, True)
        for origin in ("https://evil.example", "capacitor://evil"):
            for method in ("OPTIONS", "POST"):
                code, headers = answered(port, method, path, {"Origin": origin, **asks})
                assert (code, "access-control-allow-origin" in headers) == (403, False)
        code, headers = answered(port, "POST", path, {})
        assert (code in (400, 403), "access-control-allow-origin" in headers) == (True, False)

    def test_hooks_of_a_batch_run_in_parallel_with_a_timeout(self, serve: Serve) -> None:
        app = site(GENTRIFUGO_HOOK_TIMEOUT=0.2, GENTRIFUGO_CLIENT_CHANNEL_LIMIT=1000)
        rt = Gentrifugo(app)
        torn: list[object] = []
        app.teardown_appcontext(lambda error: torn.append(g.pop("channel", None)))

        @rt.on_private_subscribe
        def hook(context: Context) -> None:
            assert "channel" not in g
            g.channel = context.channel
            assert (session["user"], context.request.path) == ("42", "/centrifuge/auth/")
            gevent.sleep(10 if context.channel.startswith("$hangs") else 0.01)

        port = serve(app)
        quick, hanging = [f"$quick{number}" for number in range(30)], [f"$hangs{number}" for number in range(500)]
        started = time.monotonic()
        asked = {"client": CLIENT, "channels": [hanging[0], *quick, *hanging[1:]]}
        answers = post(port, "/centrifuge/auth/", asked, cookie(app, user="42"))[1]
        assert time.monotonic() - started < seconds(1)
        assert list(answers) == asked["channels"]
        assert all("sign" in answers[channel] for channel in quick)
        assert all(answers[channel] == {"status": 500} for channel in hanging)
        assert set(quick) <= set(torn)


class TestRefreshing:
    def test_a_page_gets_new_credentials(self, app: Flask, rt: Gentrifugo, connect: Connect, serve: Serve) -> None:
        @rt.on_refresh
        def hook(context: Context) -> None:
            context.user, context.info = session["user"], {"name": "Ann"}

        port = serve(app)
        answered, given = post(port, "/centrifuge/refresh/", {}, cookie(app, user=42))
        assert (answered, given["user"], given["info"]) == (200, "42", '{"name":"Ann"}')
        assert "error" not in call(connect(port), "connect", **given)

    @pytest.mark.parametrize(
        ("hook", "answer"),
        [
            (lambda context: False, (403, "permission denied\n")),
            (lambda context: None, (403, "permission denied: no hook has set a user\n")),
            (lambda context: 1 / 0, (500, "internal server error\n")),
        ],
    )
    def test_refresh_can_be_refused(
        self, app: Flask, rt: Gentrifugo, serve: Serve, hook: Callable[[Context], object], answer: tuple[int, str]
    ) -> None:
        rt.on_refresh(hook)
        assert post(serve(app), "/centrifuge/refresh/", {}) == answer

    def test_refresh_endpoint_accepts_only_post(self, app: Flask, rt: Gentrifugo, serve: Serve) -> None:
        rt.on_refresh(lambda context: None)
        assert in_thread(status, serve(app), "GET", "/centrifuge/refresh/")[0] == 405
