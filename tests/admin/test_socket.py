"""Admin sockets that are closed: there are too many, or the server is shutting down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import gevent
import pytest
from gevent.socket import socketpair

from gentrifugo.admin import socket as socket_module
from gentrifugo.admin.access import Access
from gentrifugo.admin.socket import AdminSockets
from gentrifugo.app.service import Service
from tests.app.conftest import config
from tests.waiting import seconds
from tests.websocket_client import WebSocketClient


@pytest.fixture
def service(nothing_left_behind: None) -> Iterator[Service]:
    made = Service(config(admin=True, insecure_admin=True))
    made.start()
    yield made
    made.stop()


@contextmanager
def operator_of(service: Service) -> Iterator[WebSocketClient]:
    """Provide a new operator in a `with` block."""
    ours, peer = socketpair()
    peer.settimeout(seconds(5))
    operator = WebSocketClient(peer, {}, b"")
    serving = gevent.spawn(
        AdminSockets(Access(lambda: service.config)).serve, service, "127.0.0.1", "", ours, ours.recv
    )
    yield operator
    operator.drop()
    serving.join(seconds(5))
    assert serving.successful()
    ours.close()
    assert not service.operators


def reason(service: Service) -> str:
    """Why the admin socket of a new operator is closed."""
    with operator_of(service) as operator:
        return operator.wait_closed().reason


def test_frames_for_operators_do_not_count_as_frames_for_clients(service: Service) -> None:
    with operator_of(service) as operator:
        operator.send_json({"method": "info", "params": {}})
        operator.recv_json()
    metrics = service.node.metrics.totals()
    counters = ("client_num_msg_queued", "client_num_msg_sent", "client_bytes_out")
    assert {name: metrics[name] for name in counters} == dict.fromkeys(counters, 0)


def test_connection_over_the_limit_of_a_process_is_closed(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_module, "MAX_OPERATORS", 0)
    assert "limit exceeded" in reason(service)


def test_connection_opened_during_shutdown_is_closed(service: Service) -> None:
    service.close_connections()
    assert "shutting down" in reason(service)
