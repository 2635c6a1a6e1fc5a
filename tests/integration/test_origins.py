"""Origins that may connect to a running server: WebSockets, every kind of SockJS request, and reloads."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.gunicorn_server import STOCK_WORKER, gunicorn
from tests.servers import Server, running
from tests.sockjs_client import Answer, Service
from tests.waiting import eventually
from tests.websocket_client import HandshakeRefused, WebSocketClient

GOOD, EVIL = "https://good.example", "https://evil.example"
SESSION = "/000/0123456789"
REQUESTS = [
    ("GET", "/info"),
    ("OPTIONS", f"{SESSION}/xhr"),
    ("POST", f"{SESSION}/xhr"),
    ("POST", f"{SESSION}/xhr_send"),
    ("POST", f"{SESSION}/xhr_streaming"),
    ("GET", f"{SESSION}/eventsource"),
    ("GET", f"{SESSION}/htmlfile?c=f"),
    ("GET", f"{SESSION}/jsonp?c=f"),
    ("POST", f"{SESSION}/jsonp_send"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running({"allowed_origins": GOOD}, tmp_path_factory.mktemp("server")) as server:
        yield server


def connects(server: Server, path: str, **headers: str) -> bool:
    try:
        WebSocketClient.connect(server.host, server.port, path=path, headers=headers).close()
    except HandshakeRefused as refused:
        assert (refused.status, b"allowed_origins" in refused.body) == (403, True)
        return False
    return True


@pytest.mark.parametrize("path", ["/connection/websocket", f"/connection{SESSION}/websocket"])
def test_origins_of_websockets_are_checked(server: Server, path: str) -> None:
    assert connects(server, path)
    assert connects(server, path, Origin=GOOD)
    assert connects(server, path, Origin=f"http://{server.host}:{server.port}")
    assert not connects(server, path, Origin=EVIL)
    assert not connects(server, path, Origin="null")


@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_origins_of_sockjs_requests_are_checked(server: Server, method: str, path: str) -> None:
    service = Service(server.host, server.port, "/connection")
    assert service.request(method, path, headers={"Origin": EVIL}).status == 403
    if "/info" in path:
        assert service.get(path, headers={"Origin": GOOD}).status == 200


def test_pages_without_an_origin_are_identified_by_their_referer(server: Server) -> None:
    service = Service(server.host, server.port, "/connection")
    path = f"{SESSION}/jsonp?c=f"
    assert service.get(path, headers={"Referer": f"{EVIL}/page"}).status == 403
    assert service.get(path).status == 403
    assert service.get(path, headers={"Referer": f"{GOOD}/page"}).status == 200


def test_pages_of_other_origins_cannot_embed_the_iframe_page(server: Server) -> None:
    answer = Service(server.host, server.port, "/connection").get("/iframe.html")
    assert answer.headers["content-security-policy"] == f"frame-ancestors 'self' {GOOD}"


def iframe_page(server: Server, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Service(server.host, server.port, "/connection").get("/iframe.html", named)


def test_server_on_a_separate_domain_allows_embedding_by_all_pages(start_server: Callable[..., Server]) -> None:
    page = iframe_page(start_server())
    assert (page.status, page.headers.get("content-security-policy")) == (200, None)
    assert iframe_page(start_server(sockjs_iframe=False)).status == 404


def test_reload_changes_the_origins_that_may_embed_the_iframe_page(start_server: Callable[..., Server]) -> None:
    server = start_server()
    before = iframe_page(server)
    assert before.headers["cache-control"] == "no-cache"
    assert iframe_page(server, If_None_Match=before.headers["etag"]).status == 304
    changed = {**server.options, "allowed_origins": GOOD, "sockjs_url": "/a.js"}
    server.config_file.write_text(json.dumps(changed), encoding="utf-8")
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: iframe_page(server, If_None_Match=before.headers["etag"]).status == 200, within=5)
    after = iframe_page(server)
    assert after.headers["content-security-policy"] == f"frame-ancestors 'self' {GOOD}"
    assert '<script src="/a.js"></script>' in after.text
    server.config_file.write_text(json.dumps({**changed, "sockjs_iframe": False}), encoding="utf-8")
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: iframe_page(server).status == 404, within=5)


def test_the_log_names_an_origin_once(start_server: Callable[..., Server]) -> None:
    server = start_server(allowed_origins=GOOD)
    for _ in range(5):
        assert not connects(server, "/connection/websocket", Origin=EVIL)
    assert server.log.count(EVIL) == 1


def test_a_reload_changes_the_list(start_server: Callable[..., Server]) -> None:
    server = start_server(allowed_origins=GOOD)
    server.config_file.write_text(json.dumps({**server.options, "allowed_origins": EVIL}), encoding="utf-8")
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: connects(server, "/connection/websocket", Origin=EVIL), within=5)
    assert not connects(server, "/connection/websocket", Origin=GOOD)


def test_stock_worker_checks_the_origin(tmp_path: Path) -> None:
    with gunicorn(tmp_path, STOCK_WORKER, allowed_origins=GOOD) as server:
        service = Service(server.host, server.port, "/connection")
        assert service.get("/info", headers={"Origin": EVIL}).status == 403
        assert service.get("/info", headers={"Origin": GOOD}).status == 200
