"""SockJS sessions of users that hooks identify by cookies: in Chromium on a page of the site, with several workers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.clients.driver import HERE, Driver, node_driver
from tests.gunicorn_server import GENTRIFUGO_WORKER, STOCK_WORKER, gunicorn
from tests.hook_backend import Backend, hook_backend
from tests.parts import node_package, program
from tests.redis_server import redis_server
from tests.sockjs_client import Service
from tests.waiting import eventually, seconds

LISTENING = re.compile(r"listening on (http://127\.0\.0\.1:\d+)")
TRANSPORTS = [
    *("xhr-streaming", "xhr-polling", "eventsource", "htmlfile", "jsonp-polling"),
    *("iframe-eventsource", "iframe-htmlfile", "iframe-xhr-polling"),
]
REQUESTS = 30
"""Requests that reach the worker with the session, or another that passes them on."""

pytestmark = pytest.mark.timeout(seconds(90))


@contextmanager
def running_site(directory: Path, origins: str = "auto") -> Iterator[str]:
    """Run the site with its page, and return its address; `origins` is its option allowed_origins."""
    node_package("centrifuge")
    packages = node_package("sockjs-client").parent
    settings = {"SITE_PAGE": str(HERE / "sockjs_page.html"), "SITE_PACKAGES": str(packages), "SITE_ORIGINS": origins}
    command = [str(Path(sys.executable).parent / "gentrifugo"), "--app=cookie_site:create_app", "--port=0"]
    log_file = directory / "site.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [*command, "--address=127.0.0.1"],
            cwd=Path(__file__).parent,
            env={**os.environ, **settings},
            stdout=log,
            stderr=log,
        )
    with process:
        yield eventually(lambda: LISTENING.search(log_file.read_text()), within=10, what="the site listens")[1]
        process.terminate()
    assert "Traceback" not in log_file.read_text()


@pytest.fixture(scope="module")
def site_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_site(tmp_path_factory.mktemp("site")) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Driver]:
    with node_driver("browser_driver.js", program("chromium"), package="playwright-core") as driver:
        driver.wait_for("ready", within=30)
        yield driver


def evaluate(browser: Driver, expression: str) -> Any:
    browser.send(do="evaluate", expression=expression)
    return browser.wait_for("value").get("value")


class Page:
    """The page of a site, with a client that was started on it."""

    def __init__(self, browser: Driver, page_url: str, server_url: str, transport: str, **options: Any) -> None:
        self._browser = browser
        browser.send(do="open", url=page_url)
        browser.wait_for("opened", within=20)
        options = {"url": f"{server_url}/realtime/connection", "insecure": True, "retry": 50, **options}
        self.evaluate(f"start({json.dumps({**options, 'transports': [transport]})})")
        eventually(lambda: self.events("subscribe"), within=15, what="the subscription")
        assert self.events("connect")[0]["transport"] == transport

    def evaluate(self, expression: str) -> Any:
        self._browser.send(do="evaluate", expression=expression)
        return self._browser.wait_for("value").get("value")

    def events(self, name: str) -> list[Any]:
        told = json.loads(self.evaluate("JSON.stringify(events)"))
        return [value for kind, value in told if kind == name]

    def has_message(self, number: int) -> bool:
        return number in self.events("message")

    def stays_connected(self) -> None:
        """Send messages, while the site renews the session cookie before each."""
        for number in range(3):
            assert self.evaluate("fetch('/').then((answer) => answer.ok)") is True
            self.evaluate(f"subscription.publish({number}), 0")
            eventually(partial(self.has_message, number), within=10, what=f"message {number}")
        assert (len(self.events("connect")), self.events("disconnect"), self.events("closed")) == (1, [], [])


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_page_whose_cookie_is_renewed_keeps_its_session(site_url: str, browser: Driver, transport: str) -> None:
    page = Page(browser, site_url, site_url, transport)
    page.stays_connected()
    page.evaluate("centrifuge.disconnect(), 0")


@pytest.mark.parametrize("transport", ["xhr-streaming", "xhr-polling"])
def test_page_of_a_listed_origin_keeps_its_session_and_gets_signatures(
    tmp_path: Path, site_url: str, browser: Driver, transport: str
) -> None:
    with running_site(tmp_path, origins=site_url) as server_url:
        page = Page(browser, site_url, server_url, transport, authEndpoint=f"{server_url}/centrifuge/auth/")
        page.evaluate("centrifuge.subscribe('$of-ann', () => {}).on('subscribe', tell('private')), 0")
        eventually(lambda: page.events("private"), within=15, what="the private subscription")
        page.stays_connected()
        page.evaluate("centrifuge.disconnect(), 0")


@pytest.fixture
def backend() -> Iterator[Backend]:
    with hook_backend() as made:
        yield made


@pytest.mark.parametrize("worker", [GENTRIFUGO_WORKER, STOCK_WORKER], ids=["our worker", "stock worker"])
def test_worker_with_the_session_checks_requests_passed_by_others(
    tmp_path: Path, backend: Backend, worker: str
) -> None:
    backend.answer = lambda event: (200, json.dumps({"user": "ann"}))
    with redis_server(tmp_path) as redis:
        options = {**redis.options, "hook_url": backend.url, "hook_events": "connect"}
        with gunicorn(tmp_path, worker, workers=3, **options) as server:
            service = Service(server.host, server.port, "/connection")
            session, cookie = service.session(), {"Cookie": "session=ann"}
            opened = service.post(f"{session.url}/xhr", headers=cookie)
            assert opened.body == b"o\n"
            secret = {"Cookie": "session=renewed; " + opened.headers["set-cookie"].partition(";")[0]}
            ping = json.dumps([json.dumps({"method": "ping", "params": {}})]).encode()
            session_statuses = {
                name: {service.post(f"{session.url}/xhr_send", ping, headers).status for _ in range(REQUESTS)}
                for name, headers in (("cookie", cookie), ("secret", secret), ("other", {}))
            }
            assert session_statuses == {"cookie": {204}, "secret": {204}, "other": {404}}
            assert {service.post(f"{session.url}/xhr").status for _ in range(REQUESTS)} == {404}
