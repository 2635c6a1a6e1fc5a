"""Which processes change the settings of the garbage collector: only those that belong to Gentrifugo."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import pytest

from tests.gunicorn_server import GENTRIFUGO_WORKER, STOCK_WORKER
from tests.integration.test_flask import PROGRAM, get, running

HERE = Path(__file__).parent
GUNICORN = [sys.executable, "-m", "gunicorn", "--bind=127.0.0.1:0", "--no-control-socket"]
COMMAND = [PROGRAM, "--app=collecting_site:app", "--address=127.0.0.1", "--port=0"]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (COMMAND, "20000 True"),
        ([*GUNICORN, f"--worker-class={GENTRIFUGO_WORKER}", "collecting_site:app"], "20000 True"),
        ([*GUNICORN, f"--worker-class={STOCK_WORKER}", "collecting_site:app"], f"{gc.get_threshold()[0]} False"),
    ],
    ids=["command", "our worker", "stock worker"],
)
def test_site_has_the_expected_garbage_collector_settings(command: list[str], expected: str, tmp_path: Path) -> None:
    with running(command, HERE, tmp_path / "site.log") as url:
        assert get(url) == (200, expected)
