"""schemathesis sends valid and invalid requests: every reply matches the OpenAPI document."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.servers import Server
from tests.waiting import seconds

KEY = "a key for tests"
NAMESPACES = [{"name": "all", "presence": True, "history_size": 3, "history_lifetime": 60}]
EXAMPLES = 25
"""Requests of each kind for each method."""


def test_every_reply_is_as_described(start_server: Callable[..., Server], tmp_path: Path) -> None:
    server = start_server(namespaces=NAMESPACES, api_key=KEY, http_prefix="/realtime")
    outcome = subprocess.run(
        [
            str(Path(sys.executable).parent / "schemathesis"),
            "run",
            f"{server.url}/realtime/api/openapi.json",
            f"--header=X-API-Key: {KEY}",
            f"--max-examples={EXAMPLES}",
            "--checks=all",
            "--continue-on-failure",
            "--seed=1",
        ],
        cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.clients.openapi_hooks", "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        timeout=seconds(200),
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout
    assert "Tested: 13" in outcome.stdout
