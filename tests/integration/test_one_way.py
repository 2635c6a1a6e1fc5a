"""The examples of one-way clients in streams.md: a page and a program lose no messages when their streams are cut."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from gentrifugo.app.protocol.v2.token_making import connection_token
from tests.clients.driver import Driver, node_driver
from tests.docs.pages import DOCS, read
from tests.integration.test_streams import KEY, OPTIONS, api
from tests.parts import program
from tests.servers import Server, running
from tests.stream_client import StreamClient, request
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually, seconds

StartServer = Callable[..., Server]
CHANNELS = ["log:first", "log:second"]
RECOVERING: dict[str, Any] = {
    **OPTIONS,
    "allowed_origins": "*",
    "namespaces": [{"name": "log", "history_size": 100, "history_ttl": 60, "recover": True}],
}


def example(language: str) -> str:
    """The only example on the page in this language that a test in this file runs."""
    blocks = [block for block in read(DOCS / "streams.md").blocks if block.runner.endswith("test_one_way.py")]
    (found,) = (block.text for block in blocks if block.language == language)
    return found.replace("…", connection_token(KEY, "ann", channels=CHANNELS))


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(RECOVERING, tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def server(shared_server: Server) -> Server:
    """The server, when no client of another test is subscribed any more."""
    eventually(lambda: not request_channels(shared_server), what="clients of other tests are gone")
    return shared_server


@pytest.fixture
def cut(server: Server) -> Iterator[TcpProxy]:
    """A proxy between the server and a client that can close connections."""
    with TcpProxy("127.0.0.1", server.port) as proxy:
        yield proxy


# -- a page


@contextmanager
def serving(page: str) -> Iterator[tuple[int, list[str]]]:
    """The port of a server that answers every request with a page, and the paths of these requests."""
    asked: list[str] = []

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port, asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def browser() -> Iterator[Driver]:
    with node_driver("browser_driver.js", program("chromium"), package="playwright-core") as driver:
        driver.wait_for("ready", within=30)
        yield driver


def shown(browser: Driver) -> list[str]:
    """The messages that the page shows, in order."""
    browser.send(do="text", selector="#news")
    return [part for part in browser.wait_for("text")["text"].split(" ") if part and not part.startswith("log:")]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("is_answered", [False, True], ids=["by the network", "by a proxy that answers itself"])
def test_page_misses_no_messages_when_its_stream_is_cut(
    server: Server, cut: TcpProxy, browser: Driver, is_answered: bool
) -> None:
    page = example("html").replace("`/connection", f"`http://127.0.0.1:{cut.port}/connection").replace("3000", "300")
    published: list[str] = []

    def publish(count: int) -> None:
        for _ in range(count):
            api(server.port, "publish", channel=CHANNELS[len(published) % 2], data=len(published))
            published.append(str(len(published)))

    with serving(page) as (port, asked):
        browser.send(do="open", url=f"http://127.0.0.1:{port}/")
        browser.wait_for("opened", within=20)
        eventually(lambda: request_channels(server) == set(CHANNELS), within=10)
        for _ in range(2):
            publish(5)
            eventually(lambda: set(shown(browser)) == set(published), within=10)
            cut.break_connections()
            publish(5)
            if is_answered:  # an EventSource that gets something else than a stream does not come back
                asked.clear()
                cut.target = ("127.0.0.1", port)
                cut.restore()
                eventually(lambda: any("uni_sse" in path for path in asked), within=20)
                cut.target = ("127.0.0.1", server.port)
            cut.restore()
            eventually(lambda: set(shown(browser)) == set(published), within=20)
    assert sorted(shown(browser), key=int) == published


def request_channels(server: Server) -> set[str]:
    body = request(server.port, "POST", "/api/channels", {}, X_API_Key=OPTIONS["api_key"])[2]
    return set(json.loads(body)["result"]["channels"])


# -- a program


def test_program_misses_no_messages_when_its_stream_is_cut(server: Server, cut: TcpProxy, tmp_path: Path) -> None:
    file = tmp_path / "listen.py"
    file.write_text(example("python").replace(":8000", f":{cut.port}").replace("sleep(1)", "sleep(0.1)"))
    output = tmp_path / "output"
    with output.open("wb") as out, subprocess.Popen([sys.executable, str(file)], stdout=out) as process:
        try:
            eventually(lambda: request_channels(server) == set(CHANNELS), within=10)
            for number in range(40):
                if number % 10 == 5:
                    cut.break_connections()
                if number % 10 == 9:
                    cut.restore()
                api(server.port, "publish", channel=CHANNELS[number % 2], data=number)
            eventually(lambda: len(output.read_text().splitlines()) >= 40, within=20)
            api(server.port, "disconnect", user="ann")
            assert process.wait(seconds(10)) == 0
        finally:
            process.kill()
    lines = output.read_text().splitlines()
    for index, channel in enumerate(CHANNELS):
        assert [line for line in lines if line.startswith(channel)] == [f"{channel} {n}" for n in range(index, 40, 2)]


def test_program_reads_messages_with_characters_that_end_lines_elsewhere(server: Server, tmp_path: Path) -> None:
    text = "next line \x85 line separator \u2028 paragraph separator \u2029"
    file = tmp_path / "listen.py"
    file.write_text(example("python").replace(":8000", f":{server.port}"))
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen([sys.executable, str(file)], stdout=subprocess.PIPE, env=environment) as process:
        try:
            eventually(lambda: request_channels(server) == set(CHANNELS), within=10)
            params = json.dumps({"channel": CHANNELS[0], "data": text}, ensure_ascii=False)
            assert request(server.port, "POST", "/api/publish", params, X_API_Key=OPTIONS["api_key"])[0] == 200
            assert process.stdout is not None
            assert process.stdout.readline().decode() == f"{CHANNELS[0]} {text}\n"
        finally:
            process.kill()


# -- the id


def listen(server: Server, last: str = "", path: str = "/connection/uni_sse", **options: Any) -> StreamClient:
    first = {"token": connection_token(KEY, "ann", channels=CHANNELS)}
    headers = f"Last-Event-ID: {last}\r\n" if last else ""
    return StreamClient(server.port, path, first, headers=headers, **options)


@pytest.mark.parametrize("get", [True, False])
def test_a_client_continues_at_its_last_event(server: Server, get: bool) -> None:
    with listen(server, get=get) as client:
        assert client.next()["connect"]
        api(server.port, "publish", channel=CHANNELS[0], data=1)
        assert client.next()["pub"]["data"] == 1
        last = client.last_event_id
    api(server.port, "publish", channel=CHANNELS[1], data=2)
    with listen(server, last, get=get) as client:
        subs = client.next()["connect"]["subs"]
        assert [subs[channel]["recovered"] for channel in CHANNELS] == [True, True]
        assert client.next()["pub"]["data"] == 2


def test_the_parameter_last_event_id_applies_only_without_the_header(server: Server) -> None:
    with listen(server) as client:
        client.next()
        last = client.last_event_id
    api(server.port, "publish", channel=CHANNELS[0], data=1)
    with listen(server, path=f"/connection/uni_sse?last_event_id={last}") as client:
        client.next()
        assert client.next()["pub"]["data"] == 1
        later = client.last_event_id
    with listen(server, later, path=f"/connection/uni_sse?last_event_id={last}") as client:
        client.next()
        api(server.port, "publish", channel=CHANNELS[0], data=2)
        assert client.next()["pub"]["data"] == 2


@pytest.mark.parametrize("last", ["17", "../..", "x" * 20_000, "%0d%0a", "a.b.c", "é"])
def test_id_of_another_server_recovers_no_publications(server: Server, last: str) -> None:
    with listen(server, last) as client:
        subs = client.next()["connect"]["subs"]
        assert all(sub["was_recovering"] and "recovered" not in sub for sub in subs.values())


def test_the_first_message_reveals_a_new_epoch(server: Server, start_server: StartServer) -> None:
    with listen(server) as client:
        client.next()
        last = client.last_event_id
    with listen(start_server(**RECOVERING), last) as client:
        subs = client.next()["connect"]["subs"]
        assert all(sub["was_recovering"] and "recovered" not in sub for sub in subs.values())
        assert client.last_event_id != last


def test_clients_with_a_library_get_no_ids(server: Server) -> None:
    first = {"id": 1, "connect": {"token": connection_token(KEY, "ann", channels=CHANNELS)}}
    with StreamClient(server.port, "/connection/sse", first, get=True) as client:
        client.next()
        assert client.last_event_id == ""
