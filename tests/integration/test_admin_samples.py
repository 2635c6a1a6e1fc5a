"""The history of the figures: a reloaded page shows it at once, and times without a node are gaps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.admin_browser import browser
from tests.admin_client import OPTIONS, AdminClient
from tests.protocol_client import ProtocolClient
from tests.redis_server import RedisServer, redis_server
from tests.servers import Server
from tests.waiting import eventually


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


@pytest.fixture
def nodes(redis: RedisServer, start_server: Callable[..., Server]) -> list[Server]:
    options = {**OPTIONS, **redis.options, "web": True, "node_ping_interval": 1}
    return [start_server(**options, name=f"node-{number}") for number in (1, 2)]


def clients_of(operator: AdminClient, window: int = 60) -> dict[str, list[float | None]]:
    data = operator.data("samples", window=window)
    assert all(len(node["figures"]["clients"]) == len(data["times"]) for node in data["nodes"] if node["figures"])
    return {node["name"]: node["figures"].get("clients", []) for node in data["nodes"]}


def test_samples_of_all_nodes_have_the_same_times(nodes: list[Server]) -> None:
    operator = AdminClient.connected(nodes[0].host, nodes[0].port)
    with ProtocolClient(nodes[0], "ann"), ProtocolClient(nodes[1], "ben"), ProtocolClient(nodes[1], "cid"):
        eventually(
            lambda: {name: values[-1] for name, values in clients_of(operator).items()} == {"node-1": 1, "node-2": 2},
            within=12,
        )
        data = operator.data("samples", window=60)
        assert (data["step"], len(data["times"])) == (2, 30)
        assert data["times"] == list(range(data["times"][0], data["times"][0] + 60, 2))
        assert data["times"][-1] <= data["now"] <= data["times"][-1] + 4
        newer = operator.data("samples", window=60, since=data["times"][-2])
        assert newer["times"][0] == data["times"][-1]
    operator.socket.close()


def test_a_channel_is_recorded_on_all_nodes_once_an_operator_opens_it(nodes: list[Server]) -> None:
    operator = AdminClient.connected(nodes[0].host, nodes[0].port)

    def recorded() -> dict[str, Any]:
        data = operator.data("samples", window=60, about="channel", channel="other")
        return {node["name"]: node for node in data["nodes"]}

    with ProtocolClient(nodes[1], "ann") as ann:
        ann.subscribe("other")
        for number in range(10):
            ann.subscribe(f"large{number}")
        eventually(lambda: len(recorded()) == 2, within=12)
        before = time.time()
        operator.data("channel", channel="other")
        eventually(lambda: recorded()["node-2"]["figures"].get("subscribers", [None])[-1] == 1, within=12)
        found = recorded()
        assert found["node-1"]["figures"]["subscribers"][-1] == 0
        assert all(before - 5 < node["since"] for node in found.values())
        assert operator.data("samples", window=60, about="channel", channel="unknown")["nodes"][0]["since"] == 0
    operator.socket.close()


def test_kinds_of_clients_and_reasons_of_closes_have_samples(nodes: list[Server]) -> None:
    operator = AdminClient.connected(nodes[0].host, nodes[0].port)

    def figures() -> dict[str, list[float | None]]:
        data = operator.data("samples", window=60, about="clients")
        return {
            key: value for node in data["nodes"] for key, value in node["figures"].items() if node["name"] == "node-2"
        }

    with ProtocolClient(nodes[1], "ann"):
        eventually(lambda: figures().get("transports/websocket", [None])[-1] == 1, within=12)
        assert figures()["protocols/v1"][-1] == 1
    eventually(lambda: any(figures().get("closed/closed by the client", [])), within=12)
    operator.socket.close()


def test_a_node_that_stops_leaves_a_gap(nodes: list[Server]) -> None:
    operator = AdminClient.connected(nodes[0].host, nodes[0].port)
    eventually(lambda: set(clients_of(operator)) == {"node-1", "node-2"}, within=12)
    nodes[1].kill()
    eventually(lambda: set(clients_of(operator)) == {"node-1"}, within=12)
    values = clients_of(operator, 86_400)["node-1"]
    assert len(values) == 288
    assert set(values[:-1]) == {None}, "the node has run for less than a step"
    operator.socket.close()


@pytest.mark.parametrize(
    "params", [{"window": 0}, {"window": 86_401}, {"window": "day"}, {"since": -1}, {"about": "user"}]
)
def test_other_windows_are_refused(params: dict[str, Any], start_server: Callable[..., Server]) -> None:
    node = start_server(**OPTIONS)
    operator = AdminClient.connected(node.host, node.port)
    operator.socket.send_json({"uid": "9", "method": "samples", "params": params})
    assert "invalid message" in operator.socket.wait_closed().reason


def test_page_reload_keeps_the_samples_and_the_window(start_server: Callable[..., Server]) -> None:
    node = start_server(**OPTIONS, web=True, name="node-1")
    with browser() as page, ProtocolClient(node, "ann"):
        page.log_in(node.url)
        page.wait_for("[data-node=node-1]")
        page.wait_until("document.querySelector('input[value=\"900\"]').checked")
        page.evaluate("document.querySelector('input[value=\"60\"]').click()")
        time.sleep(7)  # some samples
        page.run("reload")
        page.wait_for("[data-node=node-1]")
        # The rate is a difference: a page without history has none before its second answer.
        assert page.texts("[data-tile='Published/s'] dd") == ["0"]
        page.wait_until("document.querySelector('input[value=\"60\"]').checked")
        assert page.problems == []


def test_plots_of_a_channel_and_of_clients_begin_before_the_page_was_opened(
    start_server: Callable[..., Server],
) -> None:
    node = start_server(**OPTIONS, web=True, name="node-1")
    operator = AdminClient.connected(node.host, node.port)
    with browser() as page, ProtocolClient(node, "ann") as ann:
        ann.subscribe("news")
        operator.data("channel", channel="news")
        time.sleep(5)  # some samples
        ann.close()
        time.sleep(4)
        page.log_in(node.url, "channel/news")
        plot = "document.querySelector('[aria-label=Subscribers] .plot').ariaLabel"
        page.wait_until(f"{plot}.includes('node-1 0, lowest 0, highest 1')")
        page.wait_for_text("#recorded", "on node-1. Nodes record the largest channels")
        page.go("clients")
        page.wait_for_text('[aria-label="Clients by transport"] .legend', "websocket\n0")
        plot = "document.querySelector('[aria-label=\"Clients by transport\"] .plot').ariaLabel"
        page.wait_until(f"{plot}.includes('websocket 0, lowest 0, highest 1')")
        assert page.problems == []
    operator.close()
