"""The alert rules for Prometheus: promtool evaluates each with series that fire it, and those of a healthy node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.parts import ROOT
from tests.prometheus_server import check_rules, run_rule_tests

FILE = ROOT / "conf" / "prometheus-alerts.yaml"
RULES = {
    rule["alert"]: rule
    for group in yaml.safe_load(FILE.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
}
LABELS = 'job="gentrifugo", instance="127.0.0.1:8000"'
HEALTHY = {
    f"up{{{LABELS}}}": "1x60",
    f"gentrifugo_engine_up{{{LABELS}}}": "1x60",
    f"gentrifugo_node_num_clients{{{LABELS}}}": "1000x60",
    f"gentrifugo_process_open_fds{{{LABELS}}}": "1040x60",
    f"gentrifugo_process_max_fds{{{LABELS}}}": "65536x60",
    f"gentrifugo_process_cpu_seconds_total{{{LABELS}}}": "0+30x60",
    f"gentrifugo_client_num_closed_slow_total{{{LABELS}}}": "0+1x60",
    f'gentrifugo_client_recoveries_total{{{LABELS}, recovered="yes"}}': "0+100x60",
    f'gentrifugo_client_recoveries_total{{{LABELS}, recovered="no"}}': "0+1x60",
    f'gentrifugo_api_errors_total{{{LABELS}, protocol="v1", method="publish", error="HTTP 401"}}': "0+1x60",
    f'gentrifugo_api_commands_total{{{LABELS}, protocol="v1", method="publish"}}': "0+600x60",
    f'gentrifugo_hook_failures_total{{{LABELS}, kind="proxy", event="rpc"}}': "0+1x60",
}
"""Series of an hour, with a value each minute."""
FIRING = {
    "GentrifugoNodeGone": ("up", "0x60"),
    "GentrifugoEngineDown": ("gentrifugo_engine_up", "0x60"),
    "GentrifugoOpenFilesNearLimit": ("gentrifugo_process_open_fds", "60000x60"),
    "GentrifugoProcessorBusy": ("gentrifugo_process_cpu_seconds_total", "0+59x60"),
    "GentrifugoManySlowClients": ("gentrifugo_client_num_closed_slow_total", "0+10x60"),
    "GentrifugoRecoveriesFail": ('gentrifugo_client_recoveries_total{.*recovered="no"', "0+50x60"),
    "GentrifugoApiErrors": ("gentrifugo_api_errors_total", "0+120x60"),
    "GentrifugoHooksFail": ("gentrifugo_hook_failures_total", "0+20x60"),
}
"""For each alert the beginning of the series that changes, and its values."""


def test_promtool_accepts_the_rules() -> None:
    check_rules(FILE)


@pytest.mark.parametrize("name", RULES)
def test_every_alert_says_what_has_happened_and_what_to_do(name: str) -> None:
    assert set(RULES[name]["annotations"]) == {"summary", "runbook"}
    assert all(text.endswith(".") for text in RULES[name]["annotations"].values())


def test_no_alert_fires_while_all_is_well(tmp_path: Path) -> None:
    run_rule_tests(FILE, tmp_path, [rule_test(HEALTHY, [])])


@pytest.mark.parametrize("name", RULES)
def test_alert_fires(name: str, tmp_path: Path) -> None:
    beginning, values = FIRING[name]
    (changed,) = [series for series in HEALTHY if series_begins(series, beginning)]
    run_rule_tests(FILE, tmp_path, [rule_test({**HEALTHY, changed: values}, [name])])


def test_alert_about_refused_requests_fires_although_none_was_accepted(tmp_path: Path) -> None:
    refused = {series: values for series, values in HEALTHY.items() if "api_commands" not in series}
    (changed,) = [series for series in refused if "api_errors" in series]
    run_rule_tests(FILE, tmp_path, [rule_test({**refused, changed: "0+120x60"}, ["GentrifugoApiErrors"])])


def series_begins(series: str, beginning: str) -> bool:
    """Return whether a series has this name, and the label that may follow it after `{.*`."""
    name, _, label = beginning.partition("{.*")
    return series.startswith(f"{name}{{") and label in series


def rule_test(series: dict[str, str], firing: list[str]) -> dict[str, Any]:
    """Return a test for promtool: which alerts fire after an hour."""
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": "59m",
                "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in firing],
            }
        ],
    }
