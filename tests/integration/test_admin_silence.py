"""Many admin sockets that send no token: operators can still log in, and the sockets are closed with a reason."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from gentrifugo.admin.socket import MAX_OPERATORS
from gentrifugo.admin.unauthenticated import MAX_PER_ADDRESS
from tests.admin_client import OPTIONS, AdminClient, log_in, token_of
from tests.servers import Server
from tests.waiting import eventually, seconds
from tests.websocket_client import Closed, WebSocketClient

HANDSHAKE = (
    b"GET /socket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
OTHER_ADDRESS = "127.0.0.2"


@pytest.fixture
def silent(request: pytest.FixtureRequest) -> Iterator[Callable[..., list[WebSocketClient]]]:
    """Open many admin sockets that send nothing: `silent(server, count, address)`."""
    with ExitStack() as stack:

        def open_all(server: Server, count: int, address: str = "127.0.0.1") -> list[WebSocketClient]:
            return [stack.enter_context(_silent(server, address)) for _ in range(count)]

        yield open_all


def _silent(server: Server, address: str) -> WebSocketClient:
    where = (server.host, server.port)
    connection = socket.create_connection(where, seconds(10), source_address=(address, 0))
    connection.sendall(HANDSHAKE)
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(4096)
    assert head.startswith(b"HTTP/1.1 101 ")
    return WebSocketClient(connection, {}, head.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize("address", ["127.0.0.1", OTHER_ADDRESS], ids=["the operator's address", "another address"])
def test_a_thousand_silent_sockets_do_not_keep_an_operator_out(
    start_server: Callable[..., Server], silent: Callable[..., list[WebSocketClient]], address: str
) -> None:
    server = start_server(**OPTIONS, stale_connection_close_delay=0)
    silent(server, MAX_OPERATORS + 1, address)
    with AdminClient.connected(server.host, server.port) as operator:
        assert operator.call("ping")["body"] == "pong"
        silent(server, MAX_PER_ADDRESS + 1, address)
        assert operator.call("ping")["body"] == "pong"


def test_the_oldest_silent_socket_of_the_same_address_is_closed_with_the_reason(
    start_server: Callable[..., Server], silent: Callable[..., list[WebSocketClient]]
) -> None:
    server = start_server(**OPTIONS)
    (elsewhere,) = silent(server, 1, OTHER_ADDRESS)
    oldest, *_ = silent(server, MAX_PER_ADDRESS + 1)
    assert oldest.wait_closed().advice == {"reason": "limit exceeded", "reconnect": False}
    elsewhere.send_json({"method": "connect", "params": {"token": token_of(log_in(server.host, server.port))}})
    assert elsewhere.recv_json() == [{"method": "connect", "error": None, "body": True}]


def test_a_socket_without_a_token_is_closed_at_its_deadline(
    start_server: Callable[..., Server], silent: Callable[..., list[WebSocketClient]]
) -> None:
    server = start_server(**OPTIONS, stale_connection_close_delay=0.5)
    (silent_one,) = silent(server, 1)
    assert silent_one.wait_closed().advice == {"reason": "stale", "reconnect": False}


@pytest.mark.parametrize("is_insecure", [False, True], ids=["with tokens", "without any"])
def test_operator_over_the_limit_is_refused_until_another_disconnects(
    start_server: Callable[..., Server], silent: Callable[..., list[WebSocketClient]], is_insecure: bool
) -> None:
    server = start_server(**OPTIONS, insecure_admin=is_insecure)
    connect = {"method": "connect", "params": {"token": token_of(log_in(server.host, server.port))}}

    def operators(count: int) -> list[WebSocketClient]:
        sockets = []
        for _ in range(count):
            (socket_,) = silent(server, 1)
            socket_.send_json(connect)
            sockets.append(socket_)
        return sockets

    first, *others = operators(MAX_OPERATORS)
    for each in (first, *others):
        assert each.recv_json() == [{"method": "connect", "error": None, "body": True}]
    assert operators(1)[0].wait_closed().advice == {"reason": "limit exceeded", "reconnect": False}
    first.close()
    # The server forgets the connection a moment after it has closed it.
    eventually(lambda: is_accepted(operators(1)[0]), within=5, what="the next operator is accepted")


def is_accepted(operator: WebSocketClient) -> bool:
    try:
        return bool(operator.recv_json() == [{"method": "connect", "error": None, "body": True}])
    except Closed as closed:
        assert closed.advice == {"reason": "limit exceeded", "reconnect": False}
        return False
