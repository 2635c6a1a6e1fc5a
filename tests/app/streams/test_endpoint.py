"""Behaviour of requests of stream clients: invalid bodies, a node that is shutting down, or cannot reach another."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from gevent.pywsgi import WSGIServer
from gevent.socket import create_connection
from msgspec import Raw

from gentrifugo.app.config.endpoints import ENDPOINTS
from gentrifugo.app.extension.wsgi import port_app
from gentrifugo.app.protocol.v2.messages import Command, ConnectRequest, EmulationRequest
from gentrifugo.app.protocol.v2.protobuf_code import encoder_of, with_length
from gentrifugo.app.server.http_connection import HTTPConnection
from gentrifugo.app.service import Service
from gentrifugo.app.streams.endpoint import BODY_MISMATCH, EVENTS_MISMATCH, PROTOBUF_TYPE
from tests.app.conftest import config
from tests.fakes import FailingEngine
from tests.greenlets import eventually, nothing_left_behind, settle
from tests.waiting import seconds

__all__ = ["nothing_left_behind"]


class Server:
    """A server of this process, whose engine may fail."""

    def __init__(self) -> None:
        self.engine = FailingEngine()
        self.service = Service(config(http_stream=True, sse=True), engine=self.engine)
        self.service.start()
        application = port_app(self.service, ENDPOINTS)
        self._http = WSGIServer(("127.0.0.1", 0), application, handler_class=HTTPConnection, log=None)
        self._http.start()

    def post(
        self, path: str, body: object, between: Callable[[], None] = settle, content_type: str = "application/json"
    ) -> bytes:
        """The response to one request, until the server closes the connection.

        `body` is sent as JSON, unless it is bytes. `between` is called when the server has read the head, and waits for
        the body.
        """
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        with create_connection(("127.0.0.1", self._http.server_port), timeout=seconds(5)) as socket:
            socket.sendall(
                b"POST %b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: %b\r\n"
                b"Content-Length: %d\r\n\r\n" % (path.encode(), content_type.encode(), len(content))
            )
            eventually(lambda: self.service.node.metrics.greenlets)
            settle()
            between()
            socket.sendall(content)
            parts = []
            while data := socket.recv(65536):
                parts.append(data)
        return b"".join(parts)

    def stop(self) -> None:
        self.engine.failing.clear()
        self.service.close_connections()
        self.service.stop()
        self._http.stop(timeout=seconds(5))


@pytest.fixture
def server(nothing_left_behind: None) -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


@pytest.mark.parametrize(("node", "status"), [("other", b"500"), ("", b"404")])
def test_commands_for_a_node_that_cannot_be_reached_are_refused(server: Server, node: str, status: bytes) -> None:
    other = server.service.node.cluster.own_info()
    other.uid = "other"
    server.service.node.cluster.registry.add(other)
    server.engine.failing.add("publish_control")
    response = server.post("/emulation", {"node": node, "session": "secret", "data": "{}"})
    assert response.split()[1] == status


def test_a_stream_that_is_opened_while_the_node_stops_is_closed_with_the_reason(server: Server) -> None:
    stop = server.service.node.close_connections
    response = server.post("/connection/http_stream", {"id": 1, "connect": {}}, between=stop)
    assert b'"disconnect":{"code":3001,"reason":"shutdown"}' in response


STREAM, SSE = "/connection/http_stream", "/connection/sse"
JSON_CONNECT = {"id": 1, "connect": {"token": "secret.token"}}
PROTOBUF_CONNECT = with_length(encoder_of(Command)(Command(id=1, connect=ConnectRequest(token="secret.token"))))


@pytest.mark.parametrize(
    ("path", "body", "content_type", "why"),
    [
        (STREAM, JSON_CONNECT, PROTOBUF_TYPE, BODY_MISMATCH.json),
        (STREAM, PROTOBUF_CONNECT, "application/json", BODY_MISMATCH.protobuf),
        (STREAM, PROTOBUF_CONNECT, "application/protobuf", BODY_MISMATCH.protobuf),
        (SSE, PROTOBUF_CONNECT, PROTOBUF_TYPE, EVENTS_MISMATCH.protobuf),
    ],
)
def test_body_in_another_format_than_the_content_type_is_logged(
    server: Server, caplog: pytest.LogCaptureFixture, path: str, body: object, content_type: str, why: str
) -> None:
    caplog.set_level("INFO", "gentrifugo")
    assert b"bad request" in server.post(path, body, content_type=content_type)
    (line,) = caplog.messages
    assert line.endswith(f"(user '', address 127.0.0.1): connection refused: bad request: {why}")
    assert "secret" not in line


@pytest.mark.parametrize(
    ("path", "body", "content_type"),
    [
        (STREAM, {"id": 1, "ping": {}}, "text/plain"),
        (STREAM, with_length(encoder_of(Command)(Command(id=1))), PROTOBUF_TYPE),
        (SSE, {"id": 1, "ping": {}}, PROTOBUF_TYPE),
    ],
)
def test_invalid_body_in_the_format_of_the_content_type_is_not_taken_for_another(
    server: Server, caplog: pytest.LogCaptureFixture, path: str, body: object, content_type: str
) -> None:
    caplog.set_level("INFO", "gentrifugo")
    assert b"bad request" in server.post(path, body, content_type=content_type)
    assert "the body is" not in caplog.text


EMULATION = {"session": "secret", "node": "node", "data": "{}"}
_request = EmulationRequest(session="secret", node="node", data=Raw(b"{}"))
PROTOBUF_EMULATION = encoder_of(EmulationRequest)(_request)


@pytest.mark.parametrize(
    ("body", "content_type", "why"),
    [
        (EMULATION, PROTOBUF_TYPE, BODY_MISMATCH.json),
        (PROTOBUF_EMULATION, "application/json", BODY_MISMATCH.protobuf),
        (b"nonsense", "application/json", "JSON is malformed"),
        (b"nonsense", PROTOBUF_TYPE, ""),
    ],
)
def test_emulation_request_in_another_format_is_refused_with_the_reason(
    server: Server, body: object, content_type: str, why: str
) -> None:
    response = server.post("/emulation", body, content_type=content_type).decode()
    assert response.split()[1] == "400"
    assert f"expected a request with session, node and data: {why}" in response
    assert ("the body is" in response) is (body != b"nonsense")
