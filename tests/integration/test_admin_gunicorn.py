"""The admin endpoints under gunicorn, with either worker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.admin_client import OPTIONS, AdminClient
from tests.api_client import APIClient
from tests.gunicorn_server import GENTRIFUGO_WORKER, STOCK_WORKER, Gunicorn, gunicorn
from tests.websocket_client import Closed

WORKERS = pytest.mark.parametrize("worker", [GENTRIFUGO_WORKER, STOCK_WORKER], ids=["our worker", "stock worker"])


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Gunicorn]]:
    """Start a gunicorn: `start(worker, option=value, ...)`."""
    with ExitStack() as stack:

        def start_gunicorn(worker: str, **options: Any) -> Gunicorn:
            return stack.enter_context(gunicorn(tmp_path, worker, **OPTIONS, **options))

        yield start_gunicorn


@WORKERS
def test_admin_interface_works_under_gunicorn(start: Callable[..., Gunicorn], worker: str) -> None:
    server = start(worker, web=True, prometheus=True, debug=True, watch=True)
    api = APIClient(server.host, server.port)
    operator = AdminClient.connected(server.host, server.port, watch=True)
    assert operator.data("info")["engine"] == "memory"
    api.publish("news", {"n": 1}, uid="m1")
    body = {"uid": "m1", "channel": "news", "data": {"n": 1}}
    assert operator.push() == {"method": "message", "error": None, "body": body}
    for path in ("/", "/main.js", "/metrics", "/debug/pprof/greenlets", "/debug/pprof/profile?seconds=0.1"):
        assert api.request("GET", path).status == 200, path
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    with pytest.raises(Closed) as closed:
        operator.push()
    stopping.join()
    assert closed.value.advice["reason"] == "shutting down"


def test_admin_endpoints_are_not_served_with_a_separate_port(start: Callable[..., Gunicorn]) -> None:
    server = start(GENTRIFUGO_WORKER, web=True, admin_port=10000)
    assert "the admin endpoints are not served" in server.log
    for path in ("/", "/socket", "/auth/"):
        assert APIClient(server.host, server.port).request("GET", path).status == 404
