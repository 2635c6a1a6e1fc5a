"""SockJS sessions that hooks opened by cookies: in Chromium on a page of the site, and over several workers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.clients.driver import HERE, Driver, node_driver
from tests.gunicorn_server import OUR_WORKER, STOCK_WORKER, gunicorn
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


@pytest.fixture(scope="module")
def site_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the site with its page is."""
    node_package("centrifuge")
    packages = node_package("sockjs-client").parent
    environment = {**os.environ, "SITE_PAGE": str(HERE / "sockjs_page.html"), "SITE_PACKAGES": str(packages)}
    command = [str(Path(sys.executable).parent / "gentrifugo"), "--app=cookie_site:create_app", "--port=0"]
    log_file = tmp_path_factory.mktemp("site") / "site.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [*command, "--address=127.0.0.1"], cwd=Path(__file__).parent, env=environment, stdout=log, stderr=log
        )
    with process:
        yield eventually(lambda: LISTENING.search(log_file.read_text()), within=10, what="the site listens")[1]
        process.terminate()
    assert "Traceback" not in log_file.read_text()


@pytest.fixture(scope="module")
def browser() -> Iterator[Driver]:
    with node_driver("browser_driver.js", program("chromium"), package="playwright-core") as driver:
        driver.wait_for("ready", within=30)
        yield driver


def evaluate(browser: Driver, expression: str) -> Any:
    browser.send(do="evaluate", expression=expression)
    return browser.wait_for("value").get("value")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_page_whose_cookie_is_renewed_keeps_its_session(site_url: str, browser: Driver, transport: str) -> None:
    def events(name: str) -> list[Any]:
        return [value for kind, value in json.loads(evaluate(browser, "JSON.stringify(events)")) if kind == name]

    def received(number: int) -> bool:
        return number in events("message")

    browser.send(do="open", url=site_url)
    browser.wait_for("opened", within=20)
    url = f"{site_url}/realtime/connection"
    options = {"url": url, "insecure": True, "transports": [transport], "retry": 50}
    evaluate(browser, f"start({json.dumps(options)})")
    eventually(lambda: events("subscribe"), within=15, what="the subscription")
    assert events("connect")[0]["transport"] == transport
    for number in range(3):
        before = evaluate(browser, "fetch('/').then((answer) => answer.ok)")
        assert before is True
        evaluate(browser, f"subscription.publish({number}), 0")
        eventually(partial(received, number), within=10, what=f"message {number}")
    assert (len(events("connect")), events("disconnect"), events("closed")) == (1, [], [])
    evaluate(browser, "centrifuge.disconnect(), 0")


@pytest.fixture
def backend() -> Iterator[Backend]:
    with hook_backend() as made:
        yield made


@pytest.mark.parametrize("worker", [OUR_WORKER, STOCK_WORKER], ids=["our worker", "stock worker"])
def test_every_worker_passes_requests_on_and_the_one_with_the_session_judges_them(
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
