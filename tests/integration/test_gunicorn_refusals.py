"""Unsupported workers of gunicorn: every endpoint and every call reports an error, and each named remedy works."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.admin_client import FORM, PASSWORD
from tests.api_client import APIClient
from tests.gunicorn_server import STOCK_WORKER, Gunicorn, ready
from tests.protocol_client import ProtocolClient
from tests.redis_server import RedisServer, redis_server
from tests.waiting import eventually
from tests.websocket_client import HandshakeRefused, WebSocketClient

SITE = """
import gevent
from flask import Flask, request

from gentrifugo import Gentrifugo

app = Flask(__name__)
app.config.update(SECRET_KEY="key", GENTRIFUGO_WEB=True, GENTRIFUGO_ADMIN_PASSWORD="open sesame",
                  GENTRIFUGO_ADMIN_SECRET="admin secret", GENTRIFUGO_HEALTH=True, GENTRIFUGO_PROMETHEUS=True)
{more}
realtime = Gentrifugo(app)
realtime.on_private_subscribe(lambda context: True)
{hooks}

CALLS = {{
    "publish": lambda: realtime.publish("news", 1),
    "broadcast": lambda: realtime.broadcast(["news"], 1),
    "presence": lambda: realtime.presence("news"),
    "history": lambda: realtime.history("news"),
    "channels": lambda: realtime.channels(),
    "unsubscribe": lambda: realtime.unsubscribe("ann"),
    "disconnect": lambda: realtime.disconnect("ann"),
    "stats": lambda: realtime.stats(),
}}


def attempt(name):
    try:
        CALLS[name]()
    except RuntimeError as error:
        return str(error)
    return "done"


@app.get("/call/<name>")
def call(name):
    return attempt(name)


@app.get("/call-elsewhere/<name>")
def call_elsewhere(name):
    return gevent.spawn(attempt, name).get()


@app.get("/page")
def page():
    return "the page of the site"


@app.route("/echo", websocket=True)
def echo():
    websocket = request.environ["wsgi.websocket"]
    websocket.send(websocket.receive())
    return ""
"""
CALLS = ["publish", "broadcast", "presence", "history", "channels", "unsubscribe", "disconnect", "stats"]
OPTIONAL = ("presence", "history")
"""Calls that options of channels permit."""
NAMED_WORKER = re.compile(r"`gunicorn -k ([\w.]+)`")
NAMES_THE_ENGINE = 'set app.config["GENTRIFUGO_ENGINE"] = "redis" in a Flask application'


@contextmanager
def site(
    directory: Path, worker: str, workers: int = 1, more: str = "", preload: bool = False
) -> Iterator[tuple[Gunicorn, APIClient]]:
    """A site with the extension under gunicorn; `more` is set in its configuration."""
    (directory / "site_with_server.py").write_text(SITE.format(more=more, hooks=""), encoding="utf-8")
    flags = ["--preload"] if preload else []
    with ready(Gunicorn({}, directory, worker, workers, flags, application="site_with_server:app")) as server:
        yield server, APIClient(server.host, server.port)


def refused_handshake(server: Gunicorn, path: str, headers: Mapping[str, str] | None = None) -> HandshakeRefused:
    with pytest.raises(HandshakeRefused) as refused:
        WebSocketClient.connect(server.host, server.port, path, headers)
    return refused.value


# -- several workers with the memory engine


@pytest.mark.parametrize("preload", [False, True], ids=["", "preloaded"])
def test_several_stock_workers_with_the_memory_engine_refuse_everything(tmp_path: Path, preload: bool) -> None:
    with site(tmp_path, STOCK_WORKER, workers=2, preload=preload) as (server, api):
        for path in ("connection/websocket", "connection/000/session/websocket", "socket"):
            refused = refused_handshake(server, f"/realtime/{path}")
            assert (refused.status, NAMES_THE_ENGINE in refused.body.decode()) == (503, True), path
        form = f"password={PASSWORD}".encode()
        for method, path, body in (
            ("GET", "/realtime/connection/info", b""),
            ("POST", "/realtime/connection/000/session/xhr", b""),
            ("POST", "/realtime/api/", b"{}"),
            ("POST", "/realtime/auth/", form),
            ("GET", "/realtime/health", b""),
            ("GET", "/realtime/metrics", b""),
            ("POST", "/centrifuge/auth/", b"{}"),
        ):
            answer = api.request(method, path, body, FORM if body == form else {})
            assert (answer.status, NAMES_THE_ENGINE in answer.body.decode()) == (503, True), path
        for name in CALLS:
            for path in ("call", "call-elsewhere"):
                assert NAMES_THE_ENGINE in api.request("GET", f"/{path}/{name}").body.decode(), name
        assert api.request("GET", "/page").body == b"the page of the site"
        assert 1 <= server.log.count("refusing all requests and calls") <= 2


def test_the_websockets_of_the_site_itself_are_not_refused(tmp_path: Path) -> None:
    with (
        site(tmp_path, STOCK_WORKER, workers=2) as (server, _),
        WebSocketClient.connect(server.host, server.port, "/echo") as client,
    ):
        client.send_text("hello")
        assert client.recv_text() == "hello"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


def works(server: Gunicorn, path: str = "/connection/websocket") -> None:
    """Return whether a client can open a WebSocket."""
    WebSocketClient.connect(server.host, server.port, path).close()


def test_the_option_of_the_application_is_a_remedy(tmp_path: Path, redis: RedisServer) -> None:
    options = f'app.config["GENTRIFUGO_ENGINE"] = "redis"\napp.config["GENTRIFUGO_REDIS_PORT"] = {redis.port}'
    with site(tmp_path, STOCK_WORKER, workers=2, more=options) as (server, api):
        works(server, "/realtime/connection/websocket")
        assert {api.request("GET", f"/call/{name}").body for name in ("publish", "channels")} == {b"done"}
        assert "refused" not in server.log


@pytest.mark.parametrize("is_variable", [False, True], ids=["in the file", "in the environment"])
def test_the_option_of_the_server_is_a_remedy(tmp_path: Path, redis: RedisServer, is_variable: bool) -> None:
    options = {"redis_port": redis.port, **({} if is_variable else {"engine": "redis"})}
    environment = {"CENTRIFUGO_ENGINE": "redis"} if is_variable else {}
    with ready(Gunicorn(options, tmp_path, STOCK_WORKER, workers=2, environment=environment)) as server:
        works(server)


def test_one_worker_is_not_refused(tmp_path: Path) -> None:
    with site(tmp_path, STOCK_WORKER) as (server, api):
        works(server, "/realtime/connection/websocket")
        assert {api.request("GET", f"/call/{name}").body for name in CALLS if name not in OPTIONAL} == {b"done"}


# -- workers that cannot serve clients


@pytest.mark.parametrize(
    ("worker", "says"),
    [
        ("gevent", "The worker gevent of gunicorn cannot serve WebSockets and SockJS, so no client can connect."),
        ("gevent_pywsgi", "The worker gevent_pywsgi of gunicorn cannot open WebSockets, so clients can connect only"),
        ("sync", "Gentrifugo cannot run here: gevent has not patched this process."),
        ("gthread", "Gentrifugo cannot run here: gevent has not patched this process."),
    ],
)
@pytest.mark.parametrize("is_site", [False, True], ids=["server alone", "site"])
def test_unsupported_worker_is_logged_at_startup(tmp_path: Path, worker: str, says: str, is_site: bool) -> None:
    (tmp_path / "site_with_server.py").write_text(SITE.format(more="", hooks=""), encoding="utf-8")
    with ready(Gunicorn({}, tmp_path, worker, application="site_with_server:app" if is_site else "")) as server:
        eventually(lambda: says in server.log, what=lambda: server.log)
        assert server.log.count(says) == 1
        line = next(line for line in server.log.splitlines() if says in line)
        assert NAMED_WORKER.findall(line) == ["gentrifugo.GentrifugoWorker", STOCK_WORKER]
        refused = refused_handshake(server, "/realtime/connection/websocket" if is_site else "/connection/websocket")
        assert refused.status == 501
        assert b"SockJS" not in refused.body
        assert NAMED_WORKER.findall(refused.body.decode()) == ["gentrifugo.GentrifugoWorker", STOCK_WORKER]


def test_each_worker_that_is_named_serves_clients(tmp_path: Path) -> None:
    """Each worker class that the response names is used without further settings."""
    with ready(Gunicorn({}, tmp_path, "gevent", settings=None)) as server:
        workers = NAMED_WORKER.findall(refused_handshake(server, "/connection/websocket").body.decode())
        sockjs = APIClient(server.host, server.port).request("GET", "/connection/info")
        assert (sockjs.status, NAMED_WORKER.findall(sockjs.body.decode())) == (501, workers)
    assert len(workers) == 2
    for worker in workers:
        with ready(Gunicorn({}, tmp_path, worker, settings=None)) as server, ProtocolClient(server, "ann") as client:
            client.subscribe("news")
            APIClient(server.host, server.port).publish("news", "hello")
            assert client.message() == "hello"


def test_http_api_works_with_workers_without_client_support(tmp_path: Path) -> None:
    with site(tmp_path, "gevent") as (_, api):
        assert api.request("GET", "/call/publish").body == b"done"
    with ready(Gunicorn({}, tmp_path, "gevent")) as server:
        APIClient(server.host, server.port).publish("news", "hello")
    with ready(Gunicorn({}, tmp_path, "gevent_pywsgi")) as server:
        opened = APIClient(server.host, server.port).request("POST", "/connection/000/session/xhr")
        assert (opened.status, opened.body) == (200, b"o\n")


# -- the stock worker


@pytest.mark.parametrize("path", ["/connection/websocket", "/connection/000/session/websocket"])
def test_pages_of_other_origins_are_refused_before_the_websocket_is_open(tmp_path: Path, path: str) -> None:
    with ready(Gunicorn({"allowed_origins": "https://good.example"}, tmp_path, STOCK_WORKER)) as server:
        refused = refused_handshake(server, path, {"Origin": "https://evil.example"})
        assert (refused.status, b"allowed_origins" in refused.body) == (403, True)
        WebSocketClient.connect(server.host, server.port, path, {"Origin": "https://good.example"}).close()


MOUNTED = """
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from site_with_server import app as site


def nothing(environ, start_response):
    start_response("404 Not Found", [])
    return []


app = DispatcherMiddleware(nothing, {"/part": site})
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_mounted_application_checks_the_origin_before_the_upgrade(tmp_path: Path, workers: int) -> None:
    (tmp_path / "mounted.py").write_text(MOUNTED, encoding="utf-8")
    hook = "realtime.on_connect(lambda context: None)"  # so that only pages of the site itself may connect
    (tmp_path / "site_with_server.py").write_text(SITE.format(more="", hooks=hook), encoding="utf-8")
    path = "/part/realtime/connection/websocket"
    with ready(Gunicorn({}, tmp_path, STOCK_WORKER, workers, application="mounted:app")) as server:
        assert refused_handshake(server, path, {"Origin": "https://evil.example"}).status == (
            403 if workers == 1 else 503
        )
        if workers == 1:
            works(server, path)


def test_invalid_handshake_is_refused_with_a_reason(tmp_path: Path) -> None:
    with ready(Gunicorn({}, tmp_path, STOCK_WORKER)) as server:
        api = APIClient(server.host, server.port)
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
        for headers, status in (({**upgrade, "Sec-WebSocket-Version": "99"}, 400), (upgrade, 400)):
            answer = api.request("GET", "/connection/websocket", b"", headers)
            assert (answer.status, b"WebSocket" in answer.body) == (status, True)
        assert api.post(json.dumps({"method": "channels", "params": {}})).status == 200
