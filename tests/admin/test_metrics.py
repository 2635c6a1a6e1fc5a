"""Behaviour of the metrics for Prometheus, and of the Grafana dashboard."""

from __future__ import annotations

import json

from prometheus_client.parser import text_string_to_metric_families

from gentrifugo.app.node.metrics import COUNTER_NAMES
from gentrifugo.app.runtime.histogram import BOUNDS
from tests.api_client import APIClient
from tests.docs.pages import page
from tests.parts import ROOT
from tests.protocol_client import ProtocolClient
from tests.protocol_client_v2 import ProtocolClientV2
from tests.servers import Server

DASHBOARD = json.loads((ROOT / "conf" / "grafana-dashboard.json").read_text(encoding="utf-8"))


def scrape(server: Server) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """The samples of a scrape by name and labels."""
    answer = APIClient(server.host, server.port).request("GET", "/metrics")
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
    APIClient(server.host, server.port).publish("news", 1)
    after = scrape(server)
    assert after["gentrifugo_node_num_client_msg_published_total"][()] == before + 1
    assert after["gentrifugo_process_resident_memory_bytes"][()] > 1e6


def test_durations_are_cumulative_histograms_in_seconds(server: Server) -> None:
    APIClient(server.host, server.port).publish("news", 1)
    found = scrape(server)
    of_publish = (("method", "publish"), ("protocol", "v1"))
    buckets = [
        count
        for labels, count in found["gentrifugo_api_request_duration_seconds_bucket"].items()
        if set(of_publish) <= set(labels)
    ]
    assert len(buckets) == len(BOUNDS) + 1
    assert buckets == sorted(buckets)
    count = found["gentrifugo_api_request_duration_seconds_count"][of_publish]
    assert buckets[-1] == count == found["gentrifugo_api_commands_total"][of_publish]
    assert 0 < found["gentrifugo_api_request_duration_seconds_sum"][of_publish] < count * max(BOUNDS)


def test_metrics_contain_no_means(server: Server) -> None:
    labels = {name for samples in scrape(server).values() for sample in samples for name, _ in sample}
    assert "quantile" not in labels


def test_commands_in_a_batch_are_counted_one_by_one(server: Server) -> None:
    of_publish, of_batch = (("method", "publish"), ("protocol", "v1")), (("method", "batch"), ("protocol", "v1"))
    before = scrape(server)["gentrifugo_api_commands_total"].get(of_publish, 0)
    command = {"method": "publish", "params": {"channel": "news", "data": 1}}
    api = APIClient(server.host, server.port)
    for commands in ([command] * 2, [command] * 20):
        assert api.post(json.dumps(commands)).status == 200
    after = scrape(server)
    assert after["gentrifugo_api_commands_total"][of_publish] == before + 22
    assert after["gentrifugo_api_request_duration_seconds_count"][of_batch] == 2


def test_refused_request_is_counted_as_an_error(server: Server) -> None:
    APIClient(server.host, server.port).post("{}", signature="wrong")
    errors = scrape(server)["gentrifugo_api_errors_total"]
    assert errors[("error", "HTTP 401"), ("method", "unknown"), ("protocol", "v1")] >= 1


def test_recoveries_are_counted_by_their_result_in_both_sets_of_names(server: Server) -> None:
    name = "gentrifugo_client_recoveries_total"
    before = scrape(server)[name]
    with ProtocolClient(server, "ann") as client:
        client.subscribe("recovering:v1", recover=True, last="forgotten")
    with ProtocolClientV2(server, "ben") as later:
        position = later.subscribe("recovering:v2", recoverable=True)
        later.call("unsubscribe", channel="recovering:v2")
        later.subscribe("recovering:v2", recover=True, offset=position.get("offset", 0), epoch=position["epoch"])
    found = scrape(server)[name]
    assert {key: found[key] - before[key] for key in found} == {(("recovered", "no"),): 1, (("recovered", "yes"),): 1}
    answer = APIClient(server.host, server.port).request("GET", "/metrics?names=centrifugo").body.decode()
    assert f'centrifugo_client_recover{{recovered="no"}} {found[("recovered", "no"),]}' in answer


def test_subscriptions_that_a_backend_ends_are_counted_by_their_code(server: Server) -> None:
    with ProtocolClientV2(server, "ann") as client:
        client.subscribe("recovering:ended")
        APIClient(server.host, server.port).call("unsubscribe", user="ann", channel="recovering:ended")
        assert client.push()["unsubscribe"]["code"] == 2000
        ended = scrape(server)["gentrifugo_client_unsubscribes_total"]
    assert ended[("code", "2000"),] >= 1


def test_the_memory_engine_is_always_up(server: Server) -> None:
    found = scrape(server)
    assert found["gentrifugo_engine_up"] == {(): 1}
    assert "gentrifugo_engine_server_up" not in found


def test_both_sets_of_metric_names_can_be_requested(server: Server) -> None:
    answer = APIClient(server.host, server.port).request("GET", "/metrics?names=gentrifugo&names=centrifugo")
    names = {line.split()[2] for line in answer.body.decode().splitlines() if line.startswith("# TYPE")}
    assert {"gentrifugo_node_num_clients", "centrifugo_node_num_clients", "process_open_fds"} <= names
    counter = "# TYPE centrifugo_node_messages_sent_count counter"
    assert counter in answer.body.decode().splitlines()


def test_unknown_set_of_metric_names_is_refused(server: Server) -> None:
    answer = APIClient(server.host, server.port).request("GET", "/metrics?names=prometheus")
    assert (answer.status, b"not 'prometheus'" in answer.body) == (400, True)


def test_node_has_an_info_metric(server: Server) -> None:
    ((labels, value),) = scrape(server)["gentrifugo_node_info"].items()
    assert value == 1
    assert dict(labels)["engine"] == "memory"


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


def test_every_counter_has_the_meaning_of_its_row(server: Server) -> None:
    tables = (
        page("stats.md").table_after(heading) for heading in ("Counters: clients", "Counters: API", "Counters: node")
    )
    rows = {row[0]: row[1] for table in tables for row in table}
    answer = APIClient(server.host, server.port).request("GET", "/metrics").body.decode()
    explained = {
        family.name.removeprefix("gentrifugo_"): family.documentation
        for family in text_string_to_metric_families(answer)
    }
    assert {name: explained[name] for name in COUNTER_NAMES} == rows
