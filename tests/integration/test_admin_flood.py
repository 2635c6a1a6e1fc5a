"""Ten thousand messages per second in a watched channel: the load of the node, and the page that shows them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator

import gevent
import pytest

from gentrifugo.admin.access import Access
from gentrifugo.admin.connection import AdminConnection
from gentrifugo.app.service import Service
from tests.admin_browser import Browser, browser
from tests.admin_client import OPTIONS
from tests.api_client import APIClient
from tests.app.conftest import config
from tests.fakes import FakeTransport
from tests.greenlets import nothing_left_behind
from tests.local_client import LocalClient
from tests.servers import Server
from tests.waiting import seconds

__all__ = ["nothing_left_behind"]

COMMAND = {"method": "publish", "params": {"channel": "news", "data": {"text": "x" * 100}}}
BATCH = json.dumps([COMMAND] * 100).encode()
ALLOWED = 1.1
"""How much more CPU a publication may take while somebody watches."""
ATTEMPTS = 4
"""Other work on the machine can spoil a measurement, though it cannot make one look better."""
RATE, DURATION = 10_000, 3.0
MAX_FREEZE_TIME = 0.5
"""Seconds between two frames of the page."""


def test_watching_slows_the_node_by_no_more_than_a_tenth(nothing_left_behind: None) -> None:
    service = Service(config(watch=True, insecure_admin=True))
    service.start()
    client = LocalClient.connected(service.node)
    client.subscribe("news")
    transport = FakeTransport(service.node.flusher)
    operator = AdminConnection(service.node, Access(lambda: service.config), transport, lambda _: None)
    ratios = []
    for _ in range(ATTEMPTS):
        ratios.append(_ratio(service, operator))
        if ratios[-1] <= ALLOWED:
            break
    operator.close()
    client.connection.close()
    service.stop()
    assert min(ratios) <= ALLOWED, ratios


def _ratio(service: Service, operator: AdminConnection) -> float:
    """Ratio of the CPU time of a publication with and without watching; the best of some rounds of each."""
    alone, watched = [], []
    for _ in range(5):
        service.node.cluster.watched.remove(operator)
        alone.append(_cpu_of_round(service))
        service.node.cluster.watched.add(operator)
        watched.append(_cpu_of_round(service))
    return min(watched) / min(alone)


def _cpu_of_round(service: Service) -> float:
    began = time.process_time()
    for _ in range(50):
        service.api.process(BATCH)
        gevent.sleep(0)
    return time.process_time() - began


@pytest.fixture
def chromium() -> Iterator[Browser]:
    with browser() as chromium:
        yield chromium


class Flood(threading.Thread):
    """Publishes RATE messages a second; `sent` counts them."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._api = APIClient(server.host, server.port)
        self.sent = 0

    def run(self) -> None:
        began = time.monotonic()
        while (passed := time.monotonic() - began) < DURATION:
            if self.sent > passed * RATE:
                time.sleep(0.005)
            assert self._api.post(BATCH.decode()).status == 200
            self.sent += 100


def test_page_stays_responsive_during_a_flood(chromium: Browser, start_server: Callable[..., Server]) -> None:
    server = start_server(**OPTIONS, web=True, watch=True)
    chromium.log_in(server.url, "messages")
    chromium.evaluate(
        """(() => {
            let last = performance.now();
            window.longest = 0;
            const look = (now) => { window.longest = Math.max(window.longest, now - last); last = now; requestAnimationFrame(look); };
            requestAnimationFrame(look);
        })()"""
    )
    flood = Flood(server)
    flood.start()
    chromium.wait_for_text("#summary", "too fast to show")
    chromium.press("p")  # the page still does what it is told
    chromium.wait_for("button[aria-pressed=true]")
    chromium.press("p")
    flood.join()
    assert flood.sent >= RATE * DURATION * 0.4  # a flood all the same, on a machine with other work
    assert chromium.evaluate("document.querySelectorAll('.feed li').length") == 200
    assert chromium.evaluate("window.longest") < seconds(MAX_FREEZE_TIME) * 1000
    assert chromium.problems == []
