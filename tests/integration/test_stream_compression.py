"""Compressed streams: browsers and programs can read each message when it arrives, also behind proxies."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.clients.driver import Driver, node_driver
from tests.gunicorn_server import GENTRIFUGO_WORKER, STOCK_WORKER
from tests.integration.test_proxies import nginx_conf, nginx_of
from tests.integration.test_streams import OPTIONS, api, connect, haproxy_of, listening, under
from tests.nginx_server import free_port, proxy
from tests.parts import program
from tests.servers import Server
from tests.stream_client import StreamClient
from tests.waiting import eventually, seconds

StartServer = Callable[..., Server]
COMPRESSING: dict[str, Any] = {**OPTIONS, "allowed_origins": "*", "stream_compression": True}
GZIP = "Accept-Encoding: gzip, deflate, br\r\n"
LONG = "All work and no play makes a message that is worth compressing. " * 20


@pytest.fixture(scope="module", params=["command", GENTRIFUGO_WORKER, STOCK_WORKER])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with under(request.param, tmp_path_factory.mktemp("compressed"), **COMPRESSING) as server:
        yield server


@pytest.fixture
def command(start_server: StartServer) -> Server:
    return start_server(**COMPRESSING)


def check_stream(port: int, api_port: int, path: str, **options: Any) -> int:
    """Connect, and read each message as soon as it was sent; returns the bytes of the body."""
    with StreamClient(port, path, connect(), headers=GZIP, **options) as client:
        assert client.headers["content-encoding"] == "gzip"
        assert "Accept-Encoding" in client.headers["vary"]
        assert client.next()["connect"]
        assert client.post({"id": 2, "subscribe": {"channel": "news"}}) == 204
        assert client.next() == {"id": 2, "subscribe": {}}
        for data in (LONG, 1, LONG, {"a": LONG}):
            api(api_port, "publish", channel="news", data=data)
            assert client.next() == {"push": {"channel": "news", "pub": {"data": data}}}
        api(api_port, "disconnect", user="ann")
        assert client.next()["push"]["disconnect"]["code"] == 3503
        assert client.read() is None
        return client.size


@pytest.mark.parametrize(("path", "get"), [("http_stream", False), ("sse", True), ("sse", False)])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_each_message_can_be_read_at_once(server: Any, path: str, get: bool, version: str) -> None:
    size = check_stream(server.port, server.port, f"/connection/{path}", get=get, version=version)
    assert size < len(LONG)


@pytest.mark.parametrize("coding", ["", "Accept-Encoding: br\r\n", "Accept-Encoding: gzip;q=0, *\r\n"])
def test_a_client_that_does_not_accept_gzip_gets_plain_messages(server: Any, coding: str) -> None:
    with StreamClient(server.port, "/connection/http_stream", connect(), headers=coding) as client:
        assert "content-encoding" not in client.headers
        assert client.next()["connect"]


def test_streams_are_plain_by_default(start_server: StartServer) -> None:
    server = start_server(**OPTIONS)
    with StreamClient(server.port, "/connection/http_stream", connect(), headers=GZIP) as client:
        assert "content-encoding" not in client.headers
        assert client.next()["connect"]


def test_receivers_share_the_compressed_bytes(command: Server) -> None:
    with (
        StreamClient(command.port, "/connection/uni_sse", listening("news"), headers=GZIP) as first,
        StreamClient(command.port, "/connection/uni_sse", listening("news"), headers=GZIP) as second,
    ):
        for client in (first, second):
            assert client.next()["connect"]
        api(command.port, "publish", channel="news", data=LONG)
        assert first.next() == second.next() == {"channel": "news", "pub": {"data": LONG}}


# -- clients


def test_curl_reads_each_message_at_once(command: Server) -> None:
    url = f"http://127.0.0.1:{command.port}/connection/uni_http_stream"
    arguments = ["-sN", "--compressed", "-d", json.dumps(listening("news")), url]
    with subprocess.Popen([program("curl"), *arguments], stdout=subprocess.PIPE) as curl:
        assert curl.stdout is not None
        assert "connect" in json.loads(curl.stdout.readline())
        for data in (LONG, 1):
            api(command.port, "publish", channel="news", data=data)
            assert json.loads(curl.stdout.readline())["pub"]["data"] == data
        api(command.port, "disconnect", user="ann")
        assert b"disconnect" in curl.stdout.readline()
        assert curl.wait(seconds(5)) == 0


FETCHING = """
fetch('/connection/uni_http_stream', {method: 'POST', body: JSON.stringify(REQUEST)}).then(async (response) => {
    window.got = [response.headers.get('content-encoding')];
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
        const {done, value} = await reader.read();
        window.got.push(done ? 'end' : value.slice(0, 100));
        if (done) return;
    }
}); 0
"""
LISTENING = """
window.got = [];
new EventSource('/connection/uni_sse?cf_connect=' + encodeURIComponent(JSON.stringify(REQUEST))).onmessage =
    (event) => window.got.push(event.data.slice(0, 100)); 0
"""


@pytest.fixture
def browser() -> Iterator[Driver]:
    with node_driver("browser_driver.js", program("chromium"), package="playwright-core") as driver:
        driver.wait_for("ready", within=30)
        yield driver


def got(browser: Driver) -> list[str]:
    browser.send(do="evaluate", expression="window.got || []")
    return list(browser.wait_for("value")["value"])


def has_more(browser: Driver, before: list[str]) -> bool:
    return got(browser) != before


def check_browser(browser: Driver, port: int, api_port: int, script: str, data: list[Any]) -> list[str]:
    """Check that a page receives each message immediately after it was published."""
    browser.send(do="open", url=f"http://127.0.0.1:{port}/connection/info")
    browser.wait_for("opened", within=20)
    browser.send(do="evaluate", expression=script.replace("REQUEST", json.dumps(listening("news"))))
    browser.wait_for("value")
    eventually(lambda: any("connect" in message for message in got(browser)), within=10)
    for item in data:
        before = got(browser)
        api(api_port, "publish", channel="news", data=item)
        eventually(partial(has_more, browser, before), within=10)
    api(api_port, "disconnect", user="ann")
    eventually(lambda: any("disconnect" in message for message in got(browser)), within=10)
    return got(browser)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["direct", "nginx", "haproxy"])
def test_browser_reads_each_message_at_once(command: Server, browser: Driver, tmp_path: Path, kind: str) -> None:
    def check(port: int) -> None:
        fetched = check_browser(browser, port, command.port, FETCHING, [LONG, 1, LONG])
        assert fetched[0] == "gzip"
        eventually(lambda: got(browser)[-1] == "end", within=10)  # and no error, although the stream has no end
        check_browser(browser, port, command.port, LISTENING, [LONG, 1, LONG])

    if kind == "direct":
        check(command.port)
        return
    port = free_port()
    arguments = (
        nginx_of(nginx_conf(port, command), tmp_path) if kind == "nginx" else haproxy_of(port, command, tmp_path)
    )
    with proxy(arguments, port, tmp_path):
        for path in ("/connection/http_stream", "/connection/sse"):
            check_stream(port, command.port, path)
        check(port)
