"""Connections from other processes are served like accepted ones; invalid data from other processes is refused."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import IPPROTO_TCP, SO_LINGER, SOL_SOCKET, TCP_NODELAY
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from gevent import socket

from gentrifugo.app.config.endpoints import ENDPOINTS
from gentrifugo.app.exchange import fd_passing
from gentrifugo.app.extension.wsgi import port_app
from gentrifugo.app.server import connection_receiver
from gentrifugo.app.server.connection_receiver import ConnectionReceiver
from gentrifugo.app.service import Service
from gentrifugo.app.sockjs.session_directory import SessionDirectory
from tests.app.conftest import config
from tests.greenlets import eventually

REQUEST = b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n"


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    body = environ["PATH_INFO"].encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@pytest.fixture
def parent() -> Iterator[Path]:
    with TemporaryDirectory() as directory:
        yield Path(directory)


@pytest.fixture
def door(parent: Path) -> Iterator[str]:
    """The path of the socket at which a process receives connections."""
    directory = SessionDirectory("group", parent)
    served = ConnectionReceiver(application, directory)
    served.start()
    yield next(str(path) for path in directory.path.iterdir() if path.is_socket())
    served.stop()
    served.stop()
    assert list(parent.iterdir()) == []


def given(door: str, request: bytes) -> Any:
    """The client's end of a connection that was passed."""
    client, accepted = socket.socketpair()
    client.settimeout(2)
    with accepted:
        fd_passing.send_connection(door, accepted, request)
    return client


def answered(client: Any, body: bytes) -> bool:
    data = b""
    while not data.endswith(body):
        part = client.recv(1000)
        assert part, data
        data += part
    return data.startswith(b"HTTP/1.1 200 OK\r\n")


def test_received_connection_continues_after_the_bytes_already_read(door: str) -> None:
    second = REQUEST % b"two"
    with given(door, REQUEST % b"one" + second[:7]) as client:
        assert answered(client, b"/one")
        client.sendall(second[7:])
        assert answered(client, b"/two")


def test_small_responses_on_a_received_connection_are_not_delayed(door: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname(), timeout=2) as client,
    ):
        accepted, _ = listener.accept()
        with accepted:
            fd_passing.send_connection(door, accepted, REQUEST % b"one")
            assert answered(client, b"/one")
            assert accepted.getsockopt(IPPROTO_TCP, TCP_NODELAY)


def test_data_that_is_not_http_is_refused(door: str) -> None:
    with given(door, b"\x00\r\n\r\n") as client:
        assert client.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_a_process_that_sends_no_connection_is_closed(door: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_receiver, "SENDING_TIMEOUT", 0.05)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as channel:
        channel.connect(door)
        channel.settimeout(2)
        assert channel.recv(1) == b"", "hung up"
    with given(door, REQUEST % b"next") as client:
        assert answered(client, b"/next")


def test_a_client_that_disconnects_meanwhile_causes_no_error(door: str, caplog: pytest.LogCaptureFixture) -> None:
    given(door, REQUEST % b"gone").close()
    with given(door, REQUEST % b"next") as client:
        assert answered(client, b"/next")
    assert not caplog.records


def test_no_connection_is_accepted_after_stop(parent: Path) -> None:
    directory = SessionDirectory("group", parent)
    served = ConnectionReceiver(application, directory)
    served.start()
    door = next(str(path) for path in directory.path.iterdir() if path.is_socket())
    served.stop()

    client, accepted = socket.socketpair()
    with client, accepted, pytest.raises((FileNotFoundError, ConnectionRefusedError)):
        fd_passing.send_connection(door, accepted, REQUEST % b"late")


def test_connection_that_is_closed_at_both_ends_causes_no_error(door: str, caplog: pytest.LogCaptureFixture) -> None:
    """The peer of such a connection has no address any more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        client.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))  # closing it resets the connection
        client.close()
        with accepted:
            fd_passing.send_connection(door, accepted, REQUEST % b"gone")
    with given(door, REQUEST % b"next") as client:
        assert answered(client, b"/next")
    assert not caplog.records


def test_received_connection_may_open_a_websocket(parent: Path) -> None:
    service = Service(config())
    service.start()
    directory = SessionDirectory("group", parent)
    served = ConnectionReceiver(port_app(service, ENDPOINTS), directory)
    served.start()
    door = next(str(path) for path in directory.path.iterdir() if path.is_socket())
    request = (
        b"GET /connection/websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    with given(door, request) as client:
        assert client.recv(1000).startswith(b"HTTP/1.1 101 ")
        eventually(lambda: service.open_websockets == 1)
    eventually(lambda: service.open_websockets == 0)
    served.stop()
    service.stop()
