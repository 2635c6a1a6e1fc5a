"""Two nodes with one Redis server: the pages of each node show both."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.admin_browser import Browser, browser
from tests.admin_client import OPTIONS
from tests.api_client import APIClient
from tests.protocol_client import ProtocolClient
from tests.redis_server import RedisServer, redis_server
from tests.servers import Server
from tests.waiting import eventually, seconds

PING = 1.0
"""node_ping_interval."""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


@pytest.fixture
def nodes(redis: RedisServer, start_server: Callable[..., Server]) -> list[Server]:
    options = {**OPTIONS, **redis.options, "web": True, "watch": True, "presence": True, "node_ping_interval": PING}
    return [start_server(**options, name=f"node-{number}") for number in (1, 2)]


@pytest.fixture
def page(nodes: list[Server]) -> Iterator[Browser]:
    with browser() as chromium:
        chromium.log_in(nodes[0].url)
        yield chromium
        assert chromium.problems == []


def test_every_page_shows_the_whole_cluster(nodes: list[Server], page: Browser) -> None:
    first, second = nodes
    page.wait_for("[data-node=node-1]")
    page.wait_for("[data-node=node-2]")
    with ProtocolClient(first, "ann") as here, ProtocolClient(second, "ann") as there:
        for client in (here, there):
            client.subscribe("news")
        page.wait_until("document.querySelector('[data-tile=Clients] dd').innerText === '2'")
        page.wait_until("document.querySelector('[data-tile=Channels] dd').innerText === '2'")
        plotted = "document.querySelector('[aria-label=Channels] .figure').innerText === '2'"
        page.wait_until(plotted)
        assert "A user or a channel on several nodes counts on each of them" in page.text("#sums")
        page.go("channels")
        page.wait_for_text("tbody tr", "news\t2")
        assert page.text("[role=status].hint") == "1 to 1 of 1 channels, each listed once."
        page.go("channel/news")
        page.wait_for_text("[aria-label=Subscribers] .legend", "node-2\n1")
        page.click("[role=tab]:nth-child(3)")
        for client in (here, there):
            page.wait_for_text("#presence", client.id)
        page.go("users/ann")
        for client, node in ((here, "node-1"), (there, "node-2")):
            page.wait_for_text(".connection", client.id)
            page.wait_for_text(".connection", node)
        page.go("messages")
        page.wait_for_text("h1", "Messages")
        eventually(lambda: _shows(page, second), what="what the other node publishes")
        page.go("status")
        _kill(second, page)


def test_figures_are_marked_while_the_server_does_not_answer(nodes: list[Server], page: Browser) -> None:
    page.wait_for("[data-node=node-1]")
    nodes[0].process.send_signal(signal.SIGSTOP)
    try:
        page.wait_for_text("#banner", "The server does not answer. All figures are of ")
        page.wait_for("main.old")
    finally:
        nodes[0].process.send_signal(signal.SIGCONT)
    page.wait_until("document.getElementById('banner').hidden")
    assert not page.evaluate("document.querySelector('main.old')")


def test_figures_are_marked_while_the_connection_is_lost(nodes: list[Server], page: Browser) -> None:
    page.wait_for("[data-node=node-1]")
    nodes[0].kill()
    page.wait_for_text("#banner", "The connection to the server is lost, reconnecting. All figures are of ")
    page.wait_for("main.old")


def test_a_list_says_that_a_node_is_missing(nodes: list[Server], page: Browser) -> None:
    page.wait_for("[data-node=node-2]")
    nodes[1].process.send_signal(signal.SIGSTOP)
    try:
        with ProtocolClient(nodes[0], "ann") as client:
            client.subscribe("news")
            page.go("channels")
            page.wait_for_text("[role=status].hint", "1 to 1 of 1 channels. Only 1 of 2 nodes have answered.")
            page.go("users")
            page.wait_for_text("[role=status].hint", "Only 1 of 2 nodes have answered.")
    finally:
        nodes[1].process.send_signal(signal.SIGCONT)
    page.wait_until("!document.querySelector('[role=status].hint').innerText.includes('Only')")


def _shows(page: Browser, server: Server) -> bool:
    APIClient(server.host, server.port).publish("news", "from the second node")
    return '"from the second node"' in page.texts(".feed code")


def _kill(node: Server, page: Browser) -> None:
    """Kill a node, and check that the page says so within three intervals, and still does after the node is removed."""
    page.wait_for("[data-node=node-2]")
    node.kill()
    began = time.monotonic()
    page.wait_for("[data-node=node-2].silent")
    assert time.monotonic() - began < seconds(3 * PING + 0.3)
    time.sleep(4 * PING)
    page.run("reload")
    page.wait_for_text("#banner", "The node node-2 has not reported since ")
    page.wait_for_text("[data-node=node-2]", "silent since ")
    assert page.texts("[data-tile=Nodes] dd") == ["1"]


def test_a_node_that_stops_or_is_started_again_is_not_missed(
    nodes: list[Server], page: Browser, start_server: Callable[..., Server]
) -> None:
    second = nodes[1]
    page.wait_for("[data-node=node-2]")
    second.kill()
    page.wait_for("[data-node=node-2].silent")
    again = start_server(**second.options)
    page.wait_for("[data-node=node-2]:not(.silent)")
    assert page.texts("#banner") == [""]
    again.stop()
    page.wait_until("!document.querySelector('[data-node=node-2]')")
    assert page.texts("#banner") == [""]
