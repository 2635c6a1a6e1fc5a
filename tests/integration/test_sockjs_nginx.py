"""SockJS behind a real nginx with the location blocks of docs/sockjs.md, each with every kind of server."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from tests.api_client import APIClient
from tests.clients.driver import node_driver
from tests.credentials import connect_params
from tests.gunicorn_server import GENTRIFUGO_WORKER, STOCK_WORKER, gunicorn
from tests.nginx_server import free_port, nginx
from tests.parts import ROOT, node_package, program
from tests.servers import running
from tests.sockjs_client import Connection, Service
from tests.waiting import eventually, seconds

BLOCKS = re.findall(r"```nginx\n(.*?)```", (ROOT / "docs" / "sockjs.md").read_text(encoding="utf-8"), re.DOTALL)
PREFIXES = {"domain": "", "location": "/realtime"}


@pytest.fixture(params=["command", "our worker", "stock worker"])
def upstream(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with ExitStack() as stack:
        directory = Path(mkdtemp(dir=tmp_path))
        if request.param == "command":
            yield stack.enter_context(running({}, directory))
        else:
            worker = GENTRIFUGO_WORKER if request.param == "our worker" else STOCK_WORKER
            yield stack.enter_context(gunicorn(directory, worker))


@pytest.fixture(params=["domain", "location"])
def service(request: pytest.FixtureRequest, upstream: Any, tmp_path: Path) -> Iterator[Service]:
    """The endpoint behind nginx, once on a separate domain and once within a site."""
    port = free_port()
    (block,) = (block for block in BLOCKS if ("/realtime" in block) == (request.param == "location"))
    block = block.replace("127.0.0.1:8000", f"{upstream.host}:{upstream.port}")
    block = re.sub(r"listen 80;", f"listen 127.0.0.1:{port};", block)
    endpoint = Service("127.0.0.1", port, f"{PREFIXES[request.param]}/connection")
    with nginx(Path(mkdtemp(dir=tmp_path)), block, port):
        yield endpoint
        endpoint.close()


class Lines:
    """The lines of a streaming response: nginx may put chunks that come together into one."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        assert connection.head().status == 200
        self._text = ""

    def line(self) -> str:
        while "\n" not in self._text:
            self._text += self.connection.chunk().decode()
        line, _, self._text = self._text.partition("\n")
        return line


def connect_body(user: str) -> bytes:
    commands = [("connect", connect_params(user)), ("subscribe", {"channel": "news"})]
    return json.dumps([json.dumps({"method": name, "params": params}) for name, params in commands]).encode()


def num_clients(api: APIClient) -> int:
    return int(api.call("node")["body"]["data"]["metrics"]["node_num_clients"])


def test_requests_of_every_transport_pass_nginx(service: Service, upstream: Any) -> None:
    """Pages, polls, streams and WebSockets; data and disconnects are passed on at once."""
    api = APIClient(upstream.host, upstream.port)
    assert service.get("").text == "Welcome to SockJS!\n"
    assert service.get("/info", {"Origin": "http://page"}).headers["access-control-allow-origin"] == "http://page"
    assert service.options("/a/b/xhr", {"Origin": "http://page"}).status == 204

    poller = service.session().opened()
    poller.send_raw(connect_body("ann"))
    assert len(poller.messages()) == 2

    streamer = service.session()
    stream = Lines(service.start("POST", f"{streamer.url}/xhr_streaming"))
    assert [stream.line(), stream.line()] == ["h" * 2048, "o"]
    streamer.send_raw(connect_body("bob"))
    assert stream.line().count("method") == 2

    websocket = service.websocket(f"{service.session().url}/websocket")
    assert websocket.recv_text() == "o"
    websocket.send_text(connect_body("eve").decode())
    assert "connect" in websocket.recv_text()

    poll = poller.start_poll()
    began = time.monotonic()
    api.publish("news", "now")
    assert "now" in stream.line()
    assert "now" in poll.answer().text
    while "now" not in websocket.recv_text():
        pass
    assert time.monotonic() - began < seconds(2)
    assert num_clients(api) == 3
    poll = poller.start_poll()
    poll.close()
    stream.connection.close()
    websocket.drop()
    eventually(lambda: num_clients(api) == 0, within=3)


@pytest.mark.parametrize("transport", ["websocket", "xhr-streaming", "xhr-polling"])
@pytest.mark.parametrize("upstream", ["command"], indirect=True)
def test_sockjs_client_passes_nginx(service: Service, upstream: Any, transport: str) -> None:
    node_package("sockjs-client")
    configuration = {
        "url": f"http://127.0.0.1:{service.port}{service.prefix}",
        "transports": [transport],
        **connect_params("42"),
    }
    with node_driver("centrifuge_driver.js", json.dumps(configuration), package="centrifuge") as client:
        client.send(do="connect")
        assert client.wait_for("connect")["transport"] == transport
        client.send(do="subscribe", channel="news")
        client.wait_for("subscribe")
        for number in range(50):
            APIClient(upstream.host, upstream.port).publish("news", number)
        assert [client.wait_for("message")["data"] for _ in range(50)] == list(range(50))


def test_the_sample_configuration_is_valid(tmp_path: Path) -> None:
    config = (ROOT / "conf" / "nginx.conf").read_text(encoding="utf-8")
    file = tmp_path / "nginx.conf"
    file.write_text(f"pid {tmp_path}/nginx.pid;\n{config}".replace("listen 80;", f"listen 127.0.0.1:{free_port()};"))
    check: Callable[..., Any] = subprocess.run
    result = check(
        [program("nginx"), "-t", "-e", str(tmp_path / "error.log"), "-p", str(tmp_path), "-c", str(file)],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
