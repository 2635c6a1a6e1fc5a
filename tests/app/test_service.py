"""Behaviour of the service: start and stop, and clients on real sockets."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gevent
import gevent.socket
import pytest

from gentrifugo import __version__
from gentrifugo.app.config.options import ConfigError
from gentrifugo.app.extension.wsgi import flask_app
from gentrifugo.app.http.requested_protocol import DEFAULT_PROTOCOL, RequestedProtocol
from gentrifugo.app.node.node import Node
from gentrifugo.app.service import READ_FACTOR, Service, build_engine
from gentrifugo.app.sockjs import session_directory
from gentrifugo.app.views.mounted import service_of
from gentrifugo.engines.memory import MemoryEngine
from tests.app.conftest import config
from tests.contents import contents
from tests.credentials import connect_params, sign
from tests.greenlets import eventually, settle
from tests.redis_server import redis_server
from tests.waiting import seconds
from tests.websocket_client import BINARY, CLOSE, WebSocketClient

CHANNELS = b'{"method":"channels","params":{}}'


class ServedClient:
    """A client on one end of a socket pair whose other end the service serves."""

    def __init__(self, service: Service, requested: RequestedProtocol = DEFAULT_PROTOCOL) -> None:
        self._server_end, client_end = gevent.socket.socketpair()
        client_end.settimeout(seconds(5))
        self.websocket = WebSocketClient(client_end, {}, b"")
        serve = partial(service.serve_websocket, requested=requested)
        self.greenlet = gevent.spawn(serve, self._server_end, self._server_end.recv)

    def call(self, method: str, **params: Any) -> Any:
        """Run one command, and return the next message."""
        self.websocket.send_json({"method": method, "params": params})
        return self.websocket.recv_json()

    def end(self) -> None:
        """Disconnect, and wait until the service has released the connection."""
        self.websocket.drop()
        self.greenlet.join(seconds(5))
        assert self.greenlet.successful()
        self._server_end.close()


class Clients:
    """Clients of one service; `open` creates another client."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._all: list[ServedClient] = []

    def open(self, requested: RequestedProtocol = DEFAULT_PROTOCOL) -> ServedClient:
        self._all.append(ServedClient(self._service, requested))
        return self._all[-1]

    def connected(self, user: str = "alice") -> ServedClient:
        served = self.open()
        assert "error" not in served.call("connect", **connect_params(user))
        return served

    def end(self) -> None:
        for served in self._all:
            served.end()


@pytest.fixture
def start_service(nothing_left_behind: None) -> Iterator[Callable[..., Service]]:
    """Start services: `start_service(option=value, ...)`."""
    services: list[Service] = []

    def start(**options: Any) -> Service:
        service = Service(config(**options))
        services.append(service)
        service.start()
        return service

    yield start
    for service in services:
        service.close_connections()
        service.stop()


@pytest.fixture
def service(start_service: Callable[..., Service]) -> Service:
    return start_service()


@pytest.fixture
def clients(service: Service) -> Iterator[Clients]:
    clients = Clients(service)
    yield clients
    clients.end()


# -- life


def test_a_service_builds_the_engine_it_is_configured_for() -> None:
    assert isinstance(build_engine(config(engine="memory")), MemoryEngine)


def test_service_with_the_redis_engine_is_not_single() -> None:
    engine = build_engine(config(engine="redis"))
    assert engine.name == "redis"
    assert engine.joins_nodes


def test_an_engine_whose_options_do_not_fit_together_is_refused() -> None:
    with pytest.raises(ConfigError, match="redis_master_name: requires redis_sentinels"):
        build_engine(config(engine="redis", redis_master_name="main"))


def test_a_start_that_failed_is_retried(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.stop()
    service.started = False

    def fail(in_background: bool) -> None:
        raise OSError("no greenlet to be had")

    with monkeypatch.context() as trouble:
        trouble.setattr(service.node, "start", fail)
        with pytest.raises(OSError):
            service.start()
    assert not service.started
    service.start()
    assert service.started


def test_concurrent_requests_start_a_service_once(service: Service) -> None:
    service.stop()
    service.started = False
    starts: list[str] = []
    start = service.node.start

    def slow_start(in_background: bool = True) -> None:
        gevent.sleep(0.01)
        start(in_background)
        starts.append(service.node.cluster.uid)

    service.node.start = slow_start  # type: ignore[method-assign]
    gevent.joinall([gevent.spawn(service.start) for _ in range(3)], raise_error=True)
    assert starts == [service.node.cluster.uid]


def test_a_service_with_the_memory_engine_is_single(service: Service) -> None:
    assert service.is_single


def test_a_service_starts_once(service: Service) -> None:
    uid = service.node.cluster.uid
    service.start()
    assert (service.started, service.node.cluster.uid) == (True, uid)


def test_a_second_stop_of_a_service_does_nothing(service: Service) -> None:
    for _ in range(2):
        service.stop()
        assert (service.node.stopping, service.node.has_pending_notifications) == (True, False)


def test_reload_applies_immediately(service: Service) -> None:
    service.node.configure(replace(service.config, secret="new"))
    assert service.config.secret == "new"
    assert service.http_api.answer(sign(CHANNELS.decode(), secret="new"), CHANNELS).status == 200


# -- clients


def test_a_client_is_served(clients: Clients, service: Service) -> None:
    client = clients.open()
    body = client.call("connect", **connect_params("alice"))["body"]
    assert body["version"] == __version__
    client.call("subscribe", channel="news")
    service.node.publish("news", b'{"a": 1.50}', uid="u1")
    assert client.websocket.recv_text() == (
        '{"method":"message","body":{"uid":"u1","channel":"news","data":{"a": 1.50}}}'
    )


def test_commands_may_come_in_binary_messages(clients: Clients) -> None:
    client = clients.connected()
    client.websocket.send_frame(BINARY, b'{"method":"ping"}')
    assert client.websocket.recv_json() == {"method": "ping"}


def test_data_that_is_not_utf_8_never_reaches_other_clients(clients: Clients, service: Service) -> None:
    service.node.configure(replace(service.config, publish=True))
    client, other = clients.connected(), clients.connected("bob")
    for subscriber in (client, other):
        subscriber.call("subscribe", channel="news")
    client.websocket.send_frame(BINARY, b'{"method":"publish","params":{"channel":"news","data":"\xff"}}')
    assert client.websocket.wait_closed().code is not None
    assert other.call("ping") == {"method": "ping"}


def test_protocol_errors_are_reported_in_the_close_frame(clients: Clients) -> None:
    client = clients.open()
    client.websocket.send_json({"method": "ping"})
    closed = client.websocket.wait_closed()
    assert (closed.code, closed.advice) == (3000, {"reason": "unauthorized", "reconnect": False})


def test_replies_are_sent_before_the_close(clients: Clients) -> None:
    client = clients.connected()
    client.websocket.send_json({"method": "ping"})
    client.websocket.send_json({"method": "unknown"})
    assert client.websocket.recv_json() == {"method": "ping"}
    assert client.websocket.wait_closed().advice["reason"] == "method not found"


@pytest.mark.parametrize("room", [1, READ_FACTOR + 1], ids=["over the limit", "over what is read at all"])
def test_a_request_over_the_size_limit_gets_an_error(start_service: Callable[..., Service], room: int) -> None:
    clients = Clients(start_service(client_request_max_size=1_000))
    client = clients.connected()
    client.websocket.send_text("x" * (room * 1_000 + 1))
    closed = client.websocket.wait_closed()
    assert (closed.code, closed.advice["reason"]) == (3000, "limit exceeded")
    clients.end()


@pytest.mark.parametrize("room", [1, READ_FACTOR + 1], ids=["over the limit", "over what is read at all"])
@pytest.mark.parametrize("format_", ["json", "protobuf"])
def test_a_first_frame_of_version_2_over_the_size_limit_is_closed_with_1009(
    start_service: Callable[..., Service], room: int, format_: str
) -> None:
    clients = Clients(start_service(client_request_max_size=1_000))
    client = clients.open(RequestedProtocol(format_))
    client.websocket.send_frame(BINARY, b"x" * (room * 1_000 + 1))
    closed = client.websocket.wait_closed()
    assert (closed.code, closed.reason) == (1009, "")
    clients.end()


@pytest.mark.parametrize("room", [1, READ_FACTOR + 1], ids=["over the limit", "over what is read at all"])
def test_a_later_frame_of_version_2_over_the_size_limit_is_closed_with_1009(
    start_service: Callable[..., Service], room: int
) -> None:
    clients = Clients(start_service(client_request_max_size=1_000, allow_anonymous_connect_without_token=True))
    client = clients.open()
    client.websocket.send_json({"id": 1, "connect": {}})
    assert "connect" in client.websocket.recv_json()
    client.websocket.send_text("x" * (room * 1_000 + 1))
    closed = client.websocket.wait_closed()
    assert (closed.code, closed.reason) == (1009, "")
    clients.end()


def test_disconnected_client_releases_all_resources(clients: Clients, service: Service) -> None:
    client = clients.connected()
    client.call("subscribe", channel="news")
    assert service.open_websockets == 1
    client.end()
    assert service.open_websockets == 0
    assert contents(service.node.hub, service.node.flusher) == []


def test_a_close_frame_is_answered(clients: Clients, service: Service) -> None:
    client = clients.connected()
    client.websocket.send_frame(CLOSE, b"\x03\xe8")
    assert client.websocket.wait_closed().code == 1000
    eventually(lambda: service.open_websockets == 0)


def test_clients_are_closed_with_shutdown_when_the_service_stops(clients: Clients, service: Service) -> None:
    connected, waiting = clients.connected(), clients.open()
    settle()
    service.close_connections()
    for client in (connected, waiting):
        closed = client.websocket.wait_closed()
        assert (closed.code, closed.advice) == (3000, {"reason": "shutting down", "reconnect": True})


def test_waiting_for_open_connections_ends_with_the_last_one(clients: Clients, service: Service) -> None:
    served, pauses = clients.connected(), []

    def disconnect_in_the_second_pause() -> None:
        pauses.append(service.open_connections)
        if len(pauses) == 2:
            served.websocket.drop()

    service.wait_until_idle(time.monotonic() + seconds(5), between=disconnect_in_the_second_pause)
    assert not service.is_busy
    assert set(pauses) == {1}


def test_waiting_for_open_connections_ends_at_the_deadline(clients: Clients, service: Service) -> None:
    clients.connected()
    service.wait_until_idle(time.monotonic())
    assert service.is_busy


def test_a_client_that_connects_during_shutdown_is_closed_with_the_reason(clients: Clients, service: Service) -> None:
    service.close_connections()
    assert clients.open().websocket.wait_closed().advice == {"reason": "shutting down", "reconnect": True}


def test_idle_connections_are_interrupted_when_the_server_stops(service: Service) -> None:
    class Waiting:
        interrupted = False

        def interrupt(self) -> None:
            assert service.node.stopping
            self.interrupted = True
            service.idle.discard(self)

    connections = [Waiting(), Waiting()]
    service.idle.update(connections)
    service.close_connections()
    assert all(connection.interrupted for connection in connections)


def test_an_internal_error_closes_one_client_only(
    clients: Clients, service: Service, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, other = clients.connected(), clients.connected("bob")
    with monkeypatch.context() as defect:
        defect.setattr(Node, "publish", None)
        client.call("subscribe", channel="news")
        service.node.configure(replace(service.config, publish=True))
        client.websocket.send_json({"method": "publish", "params": {"channel": "news", "data": 1}})
        closed = client.websocket.wait_closed()
    assert closed.advice == {"reason": "internal server error", "reconnect": True}
    assert other.call("ping") == {"method": "ping"}
    (record,) = [record for record in caplog.records if record.exc_info]
    assert "internal error, closing connection" in record.getMessage()


def test_raw_websockets_are_counted(clients: Clients, service: Service) -> None:
    for _ in range(2):
        clients.connected()
    counters = service.node.metrics.counters
    assert (counters.http_raw_ws_num_requests, service.open_websockets) == (2, 2)


def test_a_silent_client_is_closed(start_service: Callable[..., Service]) -> None:
    clients = Clients(start_service(ping_interval=0.2))
    client = clients.connected()
    frames = iter(client.websocket.recv_frame, None)
    last = next(frame for frame in frames if frame.opcode == CLOSE)
    assert json.loads(last.payload[2:]) == {"reason": "write ping error", "reconnect": True}
    clients.end()


def test_service_without_session_directory_starts_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, nothing_left_behind: None
) -> None:
    monkeypatch.setattr(session_directory, "gettempdir", lambda: str(tmp_path))
    with redis_server(tmp_path) as redis:
        application = flask_app(config(**redis.options))
        service = service_of(application)
        assert service is not None
        assert service.session_directory is not None
        path = service.session_directory.path
        path.mkdir(mode=0o755)
        path.chmod(0o755)
        service.start()
        assert service.started
        service.stop()
    assert (
        "cannot share SockJS sessions between processes, sticky sessions are required: "
        f"{path}: not a directory that belongs to this user alone" in caplog.messages
    )
