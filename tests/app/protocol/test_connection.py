"""The first message of a connection determines the version of the protocol."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace

import gevent
import pytest
from gevent.event import Event

from gentrifugo.app.http.requested_protocol import DEFAULT_PROTOCOL, RequestedProtocol
from gentrifugo.app.model.errors import CLOSE_SHUTDOWN
from gentrifugo.app.node.node import Node
from gentrifugo.app.protocol.connection import FRAME_MISMATCH, ClientConnection, version_of
from gentrifugo.app.protocol.v2.messages import Command, ConnectRequest
from gentrifugo.app.protocol.v2.protobuf_code import encoder_of, with_length
from gentrifugo.app.protocol.v2.protobuf_format import PROTOBUF
from gentrifugo.app.protocol.v2.token_making import connection_token
from gentrifugo.app.protocol.v2.tokens import TokenVerifier
from tests.credentials import connect_params
from tests.fakes import FakeTransport
from tests.greenlets import eventually, settle
from tests.local_client_v2 import KEY

_encode = encoder_of(Command)


def encode_command(command: Command) -> bytes:
    return with_length(_encode(command))


Connect = Callable[..., tuple[ClientConnection, FakeTransport]]


@pytest.fixture
def connect(start_node: Callable[..., Node]) -> Connect:
    """Open a connection to a new node: `connect(requested, option=value)`."""

    def open_(
        requested: RequestedProtocol = DEFAULT_PROTOCOL, **options: object
    ) -> tuple[ClientConnection, FakeTransport]:
        node = start_node(**{"token_hmac_secret_key": KEY, **options})
        transport = FakeTransport(node.flusher)
        parts = SimpleNamespace(node=node, tokens=TokenVerifier(node.config))
        return ClientConnection(parts, transport, requested=requested), transport

    return open_


@pytest.mark.parametrize(
    ("message", "version"),
    [
        (b'{"uid":"1","method":"connect","params":{}}', 1),
        (b'{"method":"connect","params":{},"id":1}', 1),
        (b'[{"method":"connect"}]', 1),
        (b'{"id":1,"connect":{}}', 2),
        (b'{"connect":{},"id":1}\n{"id":2,"subscribe":{"channel":"a"}}', 2),
        (b'{"connect":{}}', 2),
        (b'{"id":2}', 2),
        (b"{}", 0),
        (b'{"id":"1"}', 0),
        (b"hello", 0),
        (b"\xff", 0),
        (b"", 0),
    ],
)
def test_first_message_determines_the_protocol_version(message: bytes, version: int) -> None:
    assert version_of(message) == version


def test_clients_of_both_versions_are_served(connect: Connect) -> None:
    first, transport = connect()
    first.handle(json.dumps({"uid": "1", "method": "connect", "params": connect_params("alice")}).encode())
    settle()
    assert json.loads(transport.messages()[0])["body"]["client"]
    second, transport = connect()
    second.handle(json.dumps({"id": 1, "connect": {"token": connection_token(KEY, "alice")}}).encode())
    settle()
    assert json.loads(transport.messages()[0])["connect"]["client"]
    assert transport.pings is False


@pytest.mark.parametrize(
    "message",
    [
        {"uid": "1", "method": "connect", "params": connect_params("alice")},
        {"id": 1, "connect": {"token": connection_token(KEY, "alice")}},
    ],
    ids=["v1", "v2"],
)
def test_client_whose_connect_takes_too_long_is_closed_as_stale(connect: Connect, message: dict[str, object]) -> None:
    answered = Event()
    connection, transport = connect(stale_connection_close_delay=0.01, hooks={"connect": lambda _: answered.wait()})
    handling = gevent.spawn(connection.handle, json.dumps(message).encode())
    ((_, reason),) = eventually(lambda: transport.closes)
    assert "stale" in str(reason)
    answered.set()
    handling.get()


def test_client_that_requests_protobuf_gets_protobuf(connect: Connect) -> None:
    connection, transport = connect(RequestedProtocol("protobuf"))
    connection.handle(PROTOBUF.ping)  # an answer to a ping that was not sent
    assert transport.closes == [(3501, "bad request")]


JSON_CONNECT = b'{"id":1,"connect":{"token":"secret.token"}}'
PROTOBUF_CONNECT = encode_command(Command(id=1, connect=ConnectRequest(token="secret.token" * 20)))
INVALID_V1 = (3000, {"reason": "invalid message", "reconnect": False})
INVALID_V2 = (3501, "bad request")


@pytest.mark.parametrize(
    ("requested", "options", "message", "close", "why"),
    [
        ("protobuf", {}, JSON_CONNECT, INVALID_V2, FRAME_MISMATCH.json),
        ("protobuf", {}, JSON_CONNECT + b"\n" + JSON_CONNECT * 10, INVALID_V2, FRAME_MISMATCH.json),
        ("protobuf", {}, b'{"method":"connect","params":{}}', INVALID_V2, FRAME_MISMATCH.json),
        ("", {}, PROTOBUF_CONNECT, INVALID_V1, FRAME_MISMATCH.protobuf),
        ("", {"secret": ""}, PROTOBUF_CONNECT, INVALID_V2, FRAME_MISMATCH.protobuf),
        ("json", {}, PROTOBUF_CONNECT, INVALID_V2, FRAME_MISMATCH.protobuf),
    ],
)
def test_frame_in_another_format_than_the_address_asks_for_is_logged(
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    requested: str,
    options: dict[str, str],
    message: bytes,
    close: tuple[int, object],
    why: str,
) -> None:
    caplog.set_level("INFO")
    connection, transport = connect(RequestedProtocol(requested), **options)
    connection.handle(message)
    assert transport.closes == [close]
    (line,) = caplog.messages
    assert line.endswith(f"(user '', address unknown): connection refused: bad request: {why}")
    assert "secret" not in line


@pytest.mark.parametrize("requested", ["", "json", "protobuf"])
@pytest.mark.parametrize("message", [b"hello", b"", b"\xff", b"\x00", b"{", b'{ "id": ', b"[]"])
def test_frame_in_neither_format_is_not_taken_for_the_other_one(
    connect: Connect, caplog: pytest.LogCaptureFixture, requested: str, message: bytes
) -> None:
    caplog.set_level("INFO")
    connect(RequestedProtocol(requested))[0].handle(message)
    assert "the frame is" not in caplog.text


@pytest.mark.parametrize(
    ("options", "close"),
    [({}, {"reason": "stale", "reconnect": False}), ({"secret": ""}, "stale")],
)
def test_silent_connection_is_closed_in_the_default_protocol_version(
    connect: Connect, options: dict[str, str], close: object
) -> None:
    connection, transport = connect(stale_connection_close_delay=0.01, **options)
    eventually(lambda: [reason for _, reason in transport.closes] == [close])
    connection.handle(b'{"id":1,"connect":{}}')
    assert transport.messages() == []


def test_a_connection_can_be_closed_before_its_first_message(connect: Connect) -> None:
    connection, transport = connect()
    connection.close(CLOSE_SHUTDOWN)
    connection.close(CLOSE_SHUTDOWN)
    assert transport.closes == [(3000, {"reason": "shutting down", "reconnect": True})]


FAILURE_ADVICE = {
    "silent": {"reason": "write ping error", "reconnect": True},
    "failed": {"reason": "error sending message", "reconnect": True},
    "broken": {"reason": "internal server error", "reconnect": True},
}


@pytest.mark.parametrize("failure", FAILURE_ADVICE)
def test_failures_before_the_first_message_end_the_connection(connect: Connect, failure: str) -> None:
    connection, transport = connect()
    fail: dict[str, Callable[[], None]] = {
        "silent": connection.close_silent,
        "failed": lambda: connection.close_failed("Broken pipe"),
        "broken": lambda: connection.close_broken(RuntimeError("a bug")),
    }
    fail[failure]()
    eventually(lambda: len(transport.closes) == 1)
    assert transport.closes == [(3000, FAILURE_ADVICE[failure])]


def test_text_messages_reach_the_client_of_either_version(connect: Connect) -> None:
    connection, transport = connect()
    connection.handle_text('{"id":1,"connect":{}}')
    connection.handle_text('{"id":2,"connect":{}}')
    assert transport.closes == [(3501, "bad request")]


def test_lone_surrogate_in_a_text_keeps_the_message_valid(connect: Connect) -> None:
    connection, transport = connect(secret="secret")
    connection.handle(json.dumps({"method": "connect", "params": connect_params("alice")}).encode())
    connection.handle_text('{"uid":"1","method":"ping","params":{"data":"a\ud800"}}')
    settle()
    assert json.loads(transport.messages()[-1]) == {"uid": "1", "method": "ping", "body": {"data": "a\ufffd"}}


def test_a_connection_has_no_channels_before_its_first_message(connect: Connect) -> None:
    connection, _ = connect()
    assert list(connection.channels) == []
    connection.close_slow()  # nothing has been sent, so there is nothing to close it for
    connection.close()


@pytest.mark.parametrize(
    ("fail", "code"),
    [(ClientConnection.close_slow, 3008), (lambda connection: connection.close_failed("Broken pipe"), 3009)],
    ids=["slow", "failed"],
)
def test_failures_after_the_first_message_close_the_client(
    connect: Connect, fail: Callable[[ClientConnection], None], code: int
) -> None:
    connection, transport = connect()
    connection.handle(json.dumps({"id": 1, "connect": {"token": connection_token(KEY, "alice")}}).encode())
    fail(connection)
    eventually(lambda: transport.closes)
    assert transport.closes[0][0] == code


def test_library_for_a_protocol_in_between_is_named_in_the_log(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gentrifugo")
    connection, transport = connect()
    connection.handle(b'{"params":{"token":"a.b.c","name":"js"},"id":1}')
    assert transport.closes == [(3501, "bad request")]
    (said,) = caplog.messages
    assert "connection refused" in said
    assert "centrifuge-js 2" in said
    assert said.endswith("this server does not have")
