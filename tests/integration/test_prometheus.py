"""A real Prometheus scrapes two nodes with clients of all kinds: its linter accepts the metrics, and all panels of the
dashboard have data."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from gentrifugo.app.node.metrics import COUNTER_NAMES
from tests.api_client import APIClient
from tests.credentials import API_KEY, TOKEN_KEY, jwt
from tests.docs.pages import page
from tests.parts import ROOT
from tests.prometheus_server import Prometheus, check_config, lint, prometheus
from tests.protocol_client import ProtocolClient
from tests.protocol_client_v2 import ProtocolClientV2
from tests.redis_server import RedisServer, redis_server
from tests.servers import Server, running
from tests.stream_client import StreamClient
from tests.waiting import eventually

DASHBOARD = json.loads((ROOT / "conf" / "grafana-dashboard.json").read_text(encoding="utf-8"))
OPTIONS = {
    "prometheus": True,
    "api_key": API_KEY,
    "token_hmac_secret_key": TOKEN_KEY,
    "allow_subscribe_for_client": True,
    "http_stream": True,
    "sse": True,
    "uni_sse": True,
    "node_ping_interval": 0.5,
    "proxy_rpc_endpoint": "http://127.0.0.1:1/",
}
RANGE = "10s"
CENTRIFUGO_QUERIES = (
    "centrifugo_node_build",
    "centrifugo_node_num_clients > 0",
    "centrifugo_node_num_users > 0",
    "centrifugo_node_num_subscriptions > 0",
    "centrifugo_node_num_channels > 0",
    "centrifugo_node_num_nodes == 2",
    f"sum by (type) (rate(centrifugo_node_messages_sent_count{{type='publication'}}[{RANGE}])) > 0",
    f"sum by (type) (rate(centrifugo_node_messages_received_count{{type='control'}}[{RANGE}])) > 0",
    f"sum by (action) (rate(centrifugo_node_action_count{{action='add_client'}}[{RANGE}])) > 0",
    "sum by (transport) (centrifugo_client_connections_inflight{transport='websocket'}) > 0",
    "sum by (transport) (centrifugo_client_connections_accepted{transport='uni_sse'}) > 0",
    f"sum by (transport) (rate(centrifugo_transport_messages_sent[{RANGE}])) > 0",
    f"sum by (transport) (rate(centrifugo_transport_messages_sent_size[{RANGE}])) > 0",
    f"sum by (transport) (rate(centrifugo_transport_messages_received[{RANGE}])) > 0",
    f"sum by (transport) (rate(centrifugo_transport_messages_received_size[{RANGE}])) > 0",
    "centrifugo_client_num_reply_errors{code='108'} > 0",
    "centrifugo_client_num_server_disconnects{code='3503'} > 0",
    f"histogram_quantile(0.99, sum by (le, method) "
    f"(rate(centrifugo_client_command_duration_seconds_histogram_bucket[{RANGE}]))) > 0",
    f"histogram_quantile(0.99, sum by (le, method) "
    f"(rate(centrifugo_api_command_duration_seconds_histogram_bucket{{protocol='http'}}[{RANGE}]))) > 0",
    "centrifugo_client_command_duration_seconds_count > 0",
    "centrifugo_api_command_errors_total > 0",
    "centrifugo_broker_redis_pub_sub_errors",
    "centrifugo_proxy_errors{protocol='http', type='rpc'} > 0",
    "centrifugo_proxy_duration_seconds_count{type='rpc'} > 0",
    f"histogram_quantile(0.99, sum by (le, type) "
    f"(rate(centrifugo_proxy_duration_seconds_histogram_bucket[{RANGE}]))) > 0",
    f"rate(process_cpu_seconds_total[{RANGE}])",
    "process_resident_memory_bytes > 1e6",
)
"""Queries as dashboards for Centrifugo 6 have them."""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """Two nodes that Redis connects."""
    directories = [tmp_path_factory.mktemp(name) for name in ("redis", "one", "two")]
    with redis_server(directories[0]) as redis, ExitStack() as stack:
        one, two = (stack.enter_context(running({**OPTIONS, **redis.options}, path)) for path in directories[1:])
        yield one, two


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory, nodes: tuple[Server, Server]) -> Iterator[Prometheus]:
    """Prometheus, which has scraped both nodes while clients of all kinds used them."""
    targets = [{"targets": [f"{node.host}:{node.port}" for node in nodes]}]
    jobs: dict[str, dict[str, Any]] = {
        "gentrifugo": {"static_configs": targets},
        "centrifugo": {"static_configs": targets, "params": {"names": ["centrifugo"]}},
    }
    with prometheus(tmp_path_factory.mktemp("prometheus"), jobs) as server, ExitStack() as stack:
        use = clients(stack, *nodes)
        eventually(lambda: use() and not _missing(server), within=30, what=lambda: f"data for {_missing(server)}")
        yield server


def clients(stack: ExitStack, one: Server, two: Server) -> Callable[[], bool]:
    """Connect clients of all kinds; returns a function that lets them and a backend send commands."""
    v1 = ProtocolClient(one, "ann")
    stack.callback(v1.close)
    json_, protobuf = ProtocolClientV2(one, "bob"), ProtocolClientV2(two, "cid", "protobuf")
    stack.enter_context(json_)
    stack.enter_context(protobuf)
    connect = {"id": 1, "connect": {"token": jwt(sub="dan")}}
    stack.enter_context(StreamClient(two.port, "/connection/http_stream", connect))
    uni = stack.enter_context(StreamClient(one.port, "/connection/uni_sse", {"token": jwt(sub="eve")}))
    assert uni.status == 200
    for client in (v1, json_, protobuf):
        client.subscribe("news")
    backend = APIClient(two.host, two.port)

    def use() -> bool:
        assert v1.call("presence", {"channel": "news"})["error"]
        assert "error" in json_.call("presence", channel="news")
        assert "error" in json_.call("rpc", method="sum", data={})  # its backend does not exist
        backend.publish("news", {"text": "hello"})
        backend.call_v4("publish", channel="news", data={})
        backend.request("POST", "/api/publish", b"{}", {"X-API-Key": "wrong"})
        with ProtocolClientV2(one, "fay"):
            backend.call_v4("disconnect", user="fay")
        for client in (v1, json_, protobuf):
            client.call("ping") if client is v1 else None
            client.push()
            client.push()
        return True

    return use


def _missing(server: Prometheus) -> list[str]:
    queries = (*(expression for _, expression in PANELS), *CENTRIFUGO_QUERIES)
    return [expression for expression in queries if not server.query(expression)]


def _panels() -> list[tuple[str, str]]:
    """The titles and queries of the dashboard, as Grafana sends them for all jobs and instances."""
    return [
        (
            panel["title"],
            target["expr"].replace("$__rate_interval", RANGE).replace("$job", ".*").replace("$instance", ".*"),
        )
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", ())
    ]


PANELS = _panels()


@pytest.mark.parametrize(("title", "expression"), PANELS)
def test_every_panel_of_the_dashboard_has_data(scraped: Prometheus, title: str, expression: str) -> None:
    assert scraped.query(expression), title


@pytest.mark.parametrize("expression", CENTRIFUGO_QUERIES)
def test_queries_for_centrifugo_have_data(scraped: Prometheus, expression: str) -> None:
    assert scraped.query(expression)


def test_prometheus_reads_all_nodes_without_an_error(scraped: Prometheus) -> None:
    assert [series["value"][1] for series in scraped.query("up")] == ["1"] * 4


@pytest.mark.usefixtures("scraped")
def test_promtool_reports_no_errors_in_the_metrics(nodes: tuple[Server, Server]) -> None:
    for node in nodes:
        assert lint(APIClient(node.host, node.port).request("GET", "/metrics").body) == []


@pytest.mark.usefixtures("scraped")
def test_promtool_finds_only_the_names_of_centrifugo_unusual(nodes: tuple[Server, Server]) -> None:
    text = APIClient(nodes[0].host, nodes[0].port).request("GET", "/metrics?names=centrifugo").body
    unusual = ('counter metrics should have "_total" suffix', "should not have", "should not include type")
    assert [found for found in lint(text) if not any(part in found for part in unusual)] == []


def _examples() -> dict[str, str]:
    blocks = page("stats.md").blocks
    return {block.language: block.text for block in blocks if block.runner == "tests/integration/test_prometheus.py"}


def test_the_examples_of_the_page_work(scraped: Prometheus, tmp_path: Path) -> None:
    examples = _examples()
    assert scraped.query(examples["promql"].strip())
    config = tmp_path / "prometheus.yml"
    config.write_text(examples["yaml"], encoding="utf-8")
    check_config(config)


def test_every_metric_has_its_row(nodes: tuple[Server, Server], scraped: Prometheus) -> None:
    rows = {row[0] for row in page("stats.md").table_after("Prometheus")}
    told_in_text = {"node_num_clients", "node_num_unique_clients", "node_num_channels", "node_uptime_seconds"}
    names = _names(nodes[0], "gentrifugo") - {f"gentrifugo_{name}_total" for name in COUNTER_NAMES}
    others = names - {f"gentrifugo_{name}" for name in told_in_text}
    assert {name for name in others if not name.startswith("gentrifugo_process_")} == rows


def test_every_name_of_centrifugo_has_its_row(nodes: tuple[Server, Server], scraped: Prometheus) -> None:
    rows = {row[0].split()[0] for row in page("stats.md").table_after("Names of Centrifugo")}
    names = {name for name in _names(nodes[0], "centrifugo") if not name.startswith("process_")}
    assert names == rows - {"process_cpu_seconds_total"}


def _names(node: Server, names: str) -> set[str]:
    text = APIClient(node.host, node.port).request("GET", f"/metrics?names={names}").body.decode()
    return {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}


def test_alert_rules_name_metrics_that_exist(nodes: tuple[Server, Server], scraped: Prometheus) -> None:
    text = (ROOT / "conf" / "prometheus-alerts.yaml").read_text(encoding="utf-8")
    expressions = [rule["expr"] for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    named = {name for expression in expressions for name in re.findall(r"\b(?:gentrifugo_\w+|up)\b", expression)}
    assert named <= _names(nodes[0], "gentrifugo") | {"up"}
    for expression in expressions:
        scraped.query(expression)


def test_metrics_show_that_redis_is_frozen(redis_node: tuple[Server, RedisServer], tmp_path: Path) -> None:
    node, redis = redis_node
    jobs = {"gentrifugo": {"static_configs": [{"targets": [f"{node.host}:{node.port}"]}]}}
    with prometheus(tmp_path, jobs) as server:
        eventually(lambda: server.query("gentrifugo_engine_up == 1"), within=15, what="the engine is up")
        redis.freeze()
        try:
            eventually(lambda: server.query("gentrifugo_engine_up == 0"), within=30, what="the engine is down")
            assert server.query("gentrifugo_engine_server_up == 0")
        finally:
            redis.thaw()
        eventually(lambda: server.query("gentrifugo_engine_up == 1"), within=15, what="the engine is up again")
        assert server.query('gentrifugo_engine_reconnects_total{connection="subscriptions"} > 0')


@pytest.fixture
def redis_node(tmp_path: Path) -> Iterator[tuple[Server, RedisServer]]:
    with redis_server(tmp_path) as redis, running({"prometheus": True, **redis.options}, tmp_path) as node:
        yield node, redis
