"""Behaviour of requests of stream clients on a node that is shutting down, or that cannot reach another node."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from gevent.pywsgi import WSGIServer
from gevent.socket import create_connection

from gentrifugo.app.config.endpoints import ENDPOINTS
from gentrifugo.app.extension.wsgi import port_app
from gentrifugo.app.server.http_connection import HTTPConnection
from gentrifugo.app.service import Service
from tests.app.conftest import config
from tests.fakes import FailingEngine
from tests.greenlets import eventually, nothing_left_behind, settle
from tests.waiting import seconds

__all__ = ["nothing_left_behind"]


class Server:
    """A server of this process, whose engine may fail."""

    def __init__(self) -> None:
        self.engine = FailingEngine()
        self.service = Service(config(http_stream=True), engine=self.engine)
        self.service.start()
        application = port_app(self.service, ENDPOINTS)
        self._http = WSGIServer(("127.0.0.1", 0), application, handler_class=HTTPConnection, log=None)
        self._http.start()

    def post(self, path: str, body: object, between: Callable[[], None] = settle) -> bytes:
        """The response to one request, until the server closes the connection.

        `between` is called when the server has read the head, and waits for the body.
        """
        content = json.dumps(body).encode()
        with create_connection(("127.0.0.1", self._http.server_port), timeout=seconds(5)) as socket:
            socket.sendall(
                b"POST %b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n" % (path.encode(), len(content))
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
