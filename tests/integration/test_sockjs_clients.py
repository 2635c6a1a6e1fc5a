"""sockjs-client 1.6.1 with centrifuge-js 1.5.0, each transport forced in turn: in Node, and in Chromium on a page of
another origin."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.api_client import APIClient
from tests.clients.driver import HERE, Driver, node_driver
from tests.credentials import connect_params
from tests.parts import node_package, program
from tests.protocol_client import ProtocolClient
from tests.servers import Server
from tests.waiting import eventually, seconds

StartServer = Callable[..., Server]

OPTIONS: dict[str, Any] = {
    "namespaces": [{"name": "live", "presence": True, "join_leave": True, "publish": True}],
    "sockjs_heartbeat_delay": 2,
}
IN_NODE = ["websocket", "xhr-streaming", "eventsource", "xhr-polling"]
IN_BROWSER = [
    *IN_NODE,
    "iframe-eventsource",
    "iframe-htmlfile",
    "iframe-xhr-polling",
    "jsonp-polling",
]
# Hard on transports, on decodeURI, on scripts and on browsers.
TEXT = "50%41 100% </script> \u2028 \u200d \uffff \U0001f600 é \\ \" '"
COUNT = 200
LONG = "x" * 3000
"""With COUNT of these the streams reach their limit of 128 KB, and are opened anew, several times."""

pytestmark = pytest.mark.timeout(seconds(90))


def configuration(server: Server, transport: str, **options: Any) -> dict[str, Any]:
    return {
        "url": f"http://127.0.0.1:{server.port}/connection",
        "transports": [transport],
        "retry": 50,
        **connect_params("42"),
        **options,
    }


def publish_all(api: APIClient) -> list[Any]:
    """Publish COUNT numbered messages, and return the expected messages of subscribers."""
    messages = [[number, TEXT, LONG] for number in range(COUNT)]
    commands = [{"method": "publish", "params": {"channel": "live:a", "data": data}} for data in messages]
    for first in range(0, COUNT, 10):
        assert api.post(json.dumps(commands[first : first + 10])).status == 200
    return messages


# -- Node


@pytest.mark.parametrize("transport", IN_NODE)
def test_sockjs_client_works_in_node(start_server: StartServer, transport: str) -> None:
    server = start_server(**OPTIONS)
    node_package("sockjs-client")
    with node_driver(
        "centrifuge_driver.js", json.dumps(configuration(server, transport)), package="centrifuge"
    ) as client:
        client.send(do="connect")
        assert client.wait_for("connect")["transport"] == transport
        client.send(do="subscribe", channel="live:a")
        client.wait_for("subscribe")
        client.send(do="publish", channel="live:a", data=TEXT)
        assert client.wait_for("done", method="publish")["body"]["status"] is True
        assert client.wait_for("message")["data"] == TEXT
        messages = publish_all(APIClient(server.host, server.port))
        assert [client.wait_for("message")["data"] for _ in messages] == messages
        time.sleep(0.5)  # as below
        server.stop()
        event = client.wait_for("disconnect")
        assert (event["reason"], event["reconnect"]) == ("shutting down", True)
        server = start_server(port=server.port, **OPTIONS)
        client.wait_for("connect", within=30)
        assert client.wait_for("subscribe")["isResubscribe"] is True
        api = APIClient(server.host, server.port)
        api.publish("live:a", "again")
        assert client.wait_for("message")["data"] == "again"
        api.call("disconnect", user="42")
        assert client.wait_for("closed", reason="disconnect") == {
            "event": "closed",
            "code": 3000,
            "reason": "disconnect",
            "reconnect": False,
        }


@pytest.mark.parametrize("transport", IN_NODE)
def test_disconnect_of_a_client_in_node_is_noticed(start_server: StartServer, transport: str) -> None:
    server = start_server(**OPTIONS)
    node_package("sockjs-client")
    arguments = json.dumps(configuration(server, transport))
    with ProtocolClient(server, "watcher") as watcher:
        watcher.subscribe("live:a")
        watcher.push()
        with node_driver("centrifuge_driver.js", arguments, package="centrifuge") as client:
            client.send(do="connect")
            client.wait_for("connect")
            client.send(do="subscribe", channel="live:a")
            client.wait_for("subscribe")
            assert watcher.push()["method"] == "join"
            client.send(do="disconnect")
            assert watcher.push()["method"] == "leave"


# -- Chromium


class PageHandler(BaseHTTPRequestHandler):
    """Serves the page and the client libraries."""

    def do_GET(self) -> None:
        files = {
            "/": HERE / "sockjs_page.html",
            "/sockjs.js": node_package("sockjs-client") / "dist" / "sockjs.js",
            "/centrifuge.js": node_package("centrifuge") / "centrifuge.js",
        }
        path: Path | None = files.get(self.path)
        body = path.read_bytes() if path else b""
        self.send_response(200 if path else 404)
        kind = "text/html" if path and path.suffix == ".html" else "application/javascript"
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def page_url() -> Iterator[str]:
    """The URL of the page, whose origin differs from that of every server."""
    for package in ("sockjs-client", "centrifuge"):
        node_package(package)
    server = ThreadingHTTPServer(("127.0.0.1", 0), PageHandler)
    thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.05))
    thread.start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Driver]:
    with node_driver("browser_driver.js", program("chromium"), package="playwright-core") as driver:
        driver.wait_for("ready", within=30)
        yield driver


class Page:
    """The page in the browser, with a client that was started on it."""

    def __init__(self, browser: Driver, url: str, configuration: dict[str, Any]) -> None:
        self._browser = browser
        self._seen = 0
        browser.send(do="open", url=url)
        browser.wait_for("opened", within=20)
        self.evaluate(f"start({json.dumps(configuration)})")

    def evaluate(self, expression: str) -> Any:
        self._browser.send(do="evaluate", expression=expression)
        return self._browser.wait_for("value").get("value")

    def wait_for(self, name: str, within: float = 15) -> Any:
        """The value of the next event of this name; those before it are skipped."""

        def find() -> list[Any] | None:
            events: list[list[Any]] = json.loads(self.evaluate("JSON.stringify(events)"))
            for index in range(self._seen, len(events)):
                if events[index][0] == name:
                    self._seen = index + 1
                    return events[index]
            return None

        return eventually(find, within=within, what=f"{name} ({self.evaluate('JSON.stringify(events.slice(-5))')})")[1]

    def messages(self, count: int) -> list[Any]:
        """Return the next `count` messages; no other events may arrive between them."""

        def enough() -> bool:
            return int(self.evaluate("events.length")) >= self._seen + count

        eventually(enough, within=20, what=f"{count} messages")
        first, self._seen = self._seen, self._seen + count
        events = json.loads(self.evaluate(f"JSON.stringify(events.slice({first}, {self._seen}))"))
        assert [name for name, _ in events] == ["message"] * count
        return [value for _, value in events]


@pytest.mark.parametrize("transport", IN_BROWSER)
def test_sockjs_client_works_in_chromium_on_a_page_of_another_origin(
    start_server: StartServer, browser: Driver, page_url: str, transport: str
) -> None:
    options = {**OPTIONS, "sockjs_url": f"{page_url}/sockjs.js"}
    server = start_server(**options)
    page = Page(browser, page_url, configuration(server, transport))
    assert page.wait_for("connect")["transport"] == transport
    page.wait_for("subscribe")
    page.evaluate(f"subscription.publish({json.dumps(TEXT)}), 0")
    assert page.wait_for("message") == TEXT
    messages = publish_all(APIClient(server.host, server.port))
    assert page.messages(COUNT) == messages
    # A stream that has just reached its limit is opened anew a little later: at that moment nobody could be told.
    time.sleep(0.5)
    server.stop()
    event = page.wait_for("disconnect")
    assert (event["reason"], event["reconnect"]) == ("shutting down", True)
    server = start_server(port=server.port, **options)
    page.wait_for("connect", within=30)
    page.wait_for("subscribe")
    api = APIClient(server.host, server.port)
    api.publish("live:a", "again")
    assert page.wait_for("message") == "again"
    api.call("disconnect", user="42")
    assert page.wait_for("closed") == {"code": 3000, "reason": "disconnect", "reconnect": False}


@pytest.mark.parametrize("transport", IN_BROWSER)
def test_disconnect_of_a_client_in_chromium_is_noticed(
    start_server: StartServer, browser: Driver, page_url: str, transport: str
) -> None:
    """This happens at once or, if the browser keeps the last poll open, a disconnect delay after the next heartbeat."""
    server = start_server(**{**OPTIONS, "sockjs_url": f"{page_url}/sockjs.js"})
    with ProtocolClient(server, "watcher") as watcher:
        watcher.subscribe("live:a")
        watcher.push()
        page = Page(browser, page_url, configuration(server, transport))
        page.wait_for("subscribe")
        assert watcher.push()["method"] == "join"
        page.evaluate("centrifuge.disconnect(), 0")
        assert watcher.push(timeout=10)["method"] == "leave"
