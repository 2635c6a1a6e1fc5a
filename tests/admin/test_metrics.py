"""Behaviour of the metrics for Prometheus, and of the dashboard that draws them."""

from __future__ import annotations

import json
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gentrifugo.app.node.metrics import COUNTER_NAMES
from tests.api_client import ApiClient
from tests.parts import ROOT
from tests.servers import Server

DASHBOARD = json.loads((ROOT / "conf" / "grafana-dashboard.json").read_text(encoding="utf-8"))
FUNCTIONS = {"rate", "sum", "by", "max", "avg", "histogram_quantile", "label_values", "or", "increase"}


def scrape(server: Server) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """The samples of a scrape by name and labels."""
    answer = ApiClient(server.host, server.port).request("GET", "/metrics")
    assert answer.status == 200
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def test_all_metric_names_have_the_prefix_gentrifugo(server: Server) -> None:
    names = scrape(server)
    assert [name for name in names if not name.startswith("gentrifugo_")] == []
    assert {f"gentrifugo_{name}_total" for name in COUNTER_NAMES} <= set(names)


def test_counters_increase(server: Server) -> None:
    before = scrape(server)["gentrifugo_node_num_client_msg_published_total"][()]
    ApiClient(server.host, server.port).publish("news", 1)
    after = scrape(server)
    assert after["gentrifugo_node_num_client_msg_published_total"][()] == before + 1
    assert after["gentrifugo_http_api_1_microseconds"][(("quantile", "0.99"),)] > 0
    assert after["gentrifugo_process_resident_memory_bytes"][()] > 1e6


def test_node_has_an_info_metric(server: Server) -> None:
    ((labels, value),) = scrape(server)["gentrifugo_node_info"].items()
    assert value == 1
    assert dict(labels)["engine"] == "memory"


def expressions() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]


@pytest.mark.parametrize("expression", expressions())
def test_dashboard_uses_only_existing_metrics(server: Server, expression: str) -> None:
    names = set(re.findall(r"gentrifugo_\w+", expression))
    assert names, expression
    assert names - set(scrape(server)) == set()


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        grid = panel["gridPos"]
        cells = {
            (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & taken, panel["title"]
        assert grid["x"] + grid["w"] <= 24
        taken |= cells
