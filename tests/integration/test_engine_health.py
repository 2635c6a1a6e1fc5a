"""Reports to operators and load balancers when Redis is suspended or killed, with real nodes and a real Redis."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.admin_browser import browser
from tests.admin_client import OPTIONS, AdminClient
from tests.api_client import Answer, APIClient
from tests.protocol_client import ProtocolClient
from tests.redis_server import RedisServer, redis_server
from tests.servers import Server
from tests.waiting import eventually, seconds

FAULTS = {"frozen": (RedisServer.freeze, RedisServer.thaw), "killed": (RedisServer.kill, RedisServer.start)}
NOTICED = 12
"""Seconds within which a node notices that Redis is frozen: a check every two seconds, whose answer may take three."""
MORE = {"health": True, "web": True, "redis_connect_timeout": 0.5, "node_ping_interval": 1}


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


def health(server: Server, query: str = "?engine=1") -> Answer:
    return APIClient(server.host, server.port).request("GET", f"/health{query}")


def engine_of(operator: AdminClient) -> list[dict[str, Any]]:
    """The report of the node about the servers of its engine."""
    return list(operator.data("nodes")[0]["engine"])


@pytest.mark.parametrize("fault", FAULTS)
def test_health_reports_a_redis_that_is_not_reachable(
    fault: str, redis: RedisServer, start_server: Callable[..., Server]
) -> None:
    break_, mend = FAULTS[fault]
    node = start_server(**OPTIONS, **MORE, **redis.options)
    operator = AdminClient.connected(node.host, node.port)
    (before,) = eventually(lambda: [server for server in engine_of(operator) if server["reachable"]])
    assert (before["name"], before["error"], before["waiting"]) == (redis.address, "", 0)
    assert before["round_trip"] > 0
    assert health(node) == Answer(200, b"{}")
    broken_at = time.time()
    break_(redis)
    try:
        eventually(lambda: health(node).status == 503, within=NOTICED, what="the node notices")
        (away,) = engine_of(operator)
        assert not away["reachable"]
        assert broken_at <= away["since"] <= time.time()
        assert away["error"]
        text = health(node).body.decode()
        assert text.startswith(f"{redis.address} has been unreachable since 20")
        # The error changes when the node tries to connect again.
        eventually(lambda: engine_of(operator)[0]["error"] in health(node).body.decode())
        assert health(node, "").status == 200, "without engine=1 the node is healthy: it accepts clients"
    finally:
        mend(redis)
    eventually(lambda: health(node).status == 200, within=10, what="the node is back")
    (after,) = engine_of(operator)
    assert after["reachable"]
    assert after["since"] >= away["since"]
    assert after["reconnects"]["subscriptions"] > before["reconnects"]["subscriptions"]
    operator.socket.close()


def test_unreachable_shard_is_reported(redis: RedisServer, start_server: Callable[..., Server], tmp_path: Path) -> None:
    with redis_server(tmp_path) as other:
        node = start_server(**OPTIONS, **MORE, engine="redis", redis_url=f"{redis_url(redis)},{redis_url(other)}")
        operator = AdminClient.connected(node.host, node.port)
        eventually(lambda: [server["reachable"] for server in engine_of(operator)] == [True, True])
        other.kill()
        eventually(lambda: [server["reachable"] for server in engine_of(operator)] == [True, False], within=NOTICED)
        assert health(node).body.decode().startswith(other.address)
        operator.socket.close()


def redis_url(server: RedisServer) -> str:
    return f"redis://{server.address}"


def test_an_operator_gets_the_figures_of_the_own_node_at_once_while_redis_is_frozen(
    redis: RedisServer, start_server: Callable[..., Server]
) -> None:
    first, second = (start_server(**OPTIONS, **MORE, **redis.options, name=name) for name in ("first", "second"))
    operator = AdminClient.connected(first.host, first.port)
    eventually(lambda: len(operator.data("nodes")) == 2, what=f"the nodes know each other: {second.url}")
    redis.freeze()
    try:
        began = time.monotonic()
        assert [node["name"] for node in operator.data("nodes")] == ["first"]
        assert time.monotonic() - began < seconds(2)
    finally:
        redis.thaw()
    operator.socket.close()


def test_page_names_the_unreachable_redis_and_the_node_of_the_figures(
    redis: RedisServer, start_server: Callable[..., Server]
) -> None:
    node = start_server(**OPTIONS, **MORE, **redis.options, name="node-1")
    with browser() as page:
        page.log_in(node.url)
        page.wait_for("[data-node=node-1]")
        assert page.texts(".banner") == [""]
        page.click(".more summary")
        page.wait_for_text(".more tr", f"node-1\t{redis.address}\treachable since ")
        redis.kill()
        page.wait_for_text(".banner", f"Redis {redis.address} has been unreachable since ", within=NOTICED)
        page.wait_for_text(".banner", "All figures are of node-1 only.")
        page.wait_for_text("[data-tile=Clients] dt", "(node-1 only)")
        page.wait_for_text(".more tr", f"node-1\t{redis.address}\tnot reachable since ")
        page.wait_for_text(".more tr", "Connection refused")
        page.go("configuration")
        page.wait_for_text("h1", "Options")
        assert "has been unreachable" in page.text(".banner")
        redis.start()
        page.wait_until("document.getElementById('banner').hidden")
        assert page.problems == []


def test_figures_are_marked_while_another_node_does_not_answer(
    redis: RedisServer, start_server: Callable[..., Server]
) -> None:
    options = {**OPTIONS, **MORE, **redis.options, "node_ping_interval": 3}
    first, second = (start_server(**options, name=name) for name in ("node-1", "node-2"))
    with browser() as page:
        page.log_in(first.url)
        page.wait_for("[data-node=node-2]")
        second.process.send_signal(signal.SIGSTOP)
        try:
            page.wait_for_text("#banner", "The node node-2 has not reported since ")
            page.wait_for_text("#banner", "All figures are of node-1 only.")
            assert page.texts("[data-tile=Clients] dt") == ["Clients (node-1 only)"]
            figure = "document.querySelector('.plot-card .figure')"
            assert page.evaluate(f"getComputedStyle({figure}, '::after').content") == '"node-1 only"'
        finally:
            second.process.send_signal(signal.SIGCONT)
        page.wait_until("document.getElementById('banner').hidden")
        assert page.problems == []


def test_older_samples_are_plotted_after_an_outage(redis: RedisServer, start_server: Callable[..., Server]) -> None:
    first, second = (start_server(**OPTIONS, **MORE, **redis.options, name=name) for name in ("node-1", "node-2"))
    with browser() as page:
        with ProtocolClient(second, "ann"):
            time.sleep(5)  # some samples
        redis.kill()
        page.log_in(first.url)  # the page asks for the samples when the second node cannot be asked
        page.wait_for_text(".banner", "All figures are of node-1 only.", within=NOTICED)
        redis.start()
        page.wait_for("[data-node=node-2]")
        page.wait_until("document.querySelector('.plot').ariaLabel.includes('node-2 0, lowest 0, highest 1')")
        assert page.problems == []


CLOSES = '[aria-label="Closed connections, per minute"]'


def test_an_outage_is_no_peak_of_closed_connections(redis: RedisServer, start_server: Callable[..., Server]) -> None:
    first, second = (start_server(**OPTIONS, **MORE, **redis.options, name=name) for name in ("node-1", "node-2"))
    for _ in range(3):
        ProtocolClient(second, "ann").close()
    with browser() as page:
        page.log_in(first.url, "clients")
        page.wait_for_text("tbody tr", "closed by the client\t3")
        page.wait_for_text(f"{CLOSES} .figure", "0")
        plot = f"document.querySelector('{CLOSES} .plot').ariaLabel"
        before = page.evaluate(plot)
        redis.kill()
        page.wait_until("!document.querySelector('[aria-label=Reasons]')")
        redis.start()
        page.wait_for_text("tbody tr", "closed by the client\t3")
        page.wait_for_text(f"{CLOSES} .figure", "0")
        assert page.evaluate(plot) == before
        assert page.problems == []
