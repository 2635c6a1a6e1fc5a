"""A real Prometheus that scrapes servers under test, and promtool."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.api_client import APIClient
from tests.nginx_server import free_port, proxy
from tests.parts import program
from tests.waiting import eventually, seconds


class Prometheus:
    """One Prometheus on `port`."""

    def __init__(self, port: int) -> None:
        self._api = APIClient("127.0.0.1", port)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The current series of an expression."""
        answer = self._api.request("GET", f"/api/v1/query?{urlencode({'query': expression})}")
        assert answer.status == 200, (expression, answer)
        return list(answer.json()["data"]["result"])


@contextmanager
def prometheus(directory: Path, jobs: Mapping[str, Mapping[str, Any]]) -> Iterator[Prometheus]:
    """Provide Prometheus in a `with` block, with these jobs, which it scrapes every second."""
    port = free_port()
    config = directory / "prometheus.yml"
    scrapes = [{"job_name": name, **job} for name, job in jobs.items()]
    # YAML is a superset of JSON.
    config.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": scrapes}), encoding="utf-8")
    command = [
        program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with proxy(command, port, directory):
        api = APIClient("127.0.0.1", port)
        eventually(lambda: api.request("GET", "/-/ready").status == 200, within=20, what="Prometheus is ready")
        yield Prometheus(port)


def lint(text: bytes) -> Sequence[str]:
    """The findings of promtool about metrics."""
    command = [program("promtool"), "check", "metrics"]
    result = subprocess.run(command, input=text, capture_output=True, timeout=seconds(30), check=False)
    found = (result.stdout + result.stderr).decode().splitlines()
    assert bool(result.returncode) == bool(found), found
    return found


def check_rules(rules: Path) -> None:
    """Let promtool check a file with rules."""
    subprocess.run([program("promtool"), "check", "rules", str(rules)], timeout=seconds(30), check=True)


def run_rule_tests(rules: Path, directory: Path, tests: Sequence[Mapping[str, Any]]) -> None:
    """Let promtool run tests of rules, with the series of each test, and fail with what it says."""
    file = directory / "tests.yaml"
    file.write_text(json.dumps({"rule_files": [str(rules)], "tests": tests}), encoding="utf-8")
    command = [program("promtool"), "test", "rules", str(file)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=seconds(30), check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def check_config(config: Path) -> None:
    """Let promtool check a configuration of Prometheus."""
    subprocess.run([program("promtool"), "check", "config", str(config)], timeout=seconds(30), check=True)
