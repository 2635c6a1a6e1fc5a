"""Behaviour of a SockJS session over a WebSocket with many messages in one frame."""

from __future__ import annotations

import json
from collections.abc import Iterator

import gevent
import pytest
from gevent.socket import socketpair

from gentrifugo.app.http.opening_request import Opening
from gentrifugo.app.net.flusher import Flusher
from gentrifugo.app.runtime.timers import Timers
from gentrifugo.app.sockjs.options import SockJSOptions
from gentrifugo.app.sockjs.peer import SockJSTransport
from gentrifugo.app.sockjs.sessions import Sessions
from gentrifugo.app.sockjs.websocket_session import WebSocketSession
from gentrifugo.app.websocket.connection import WebSocket
from tests.app.sockjs.fakes import FakePeer
from tests.greenlets import BackgroundGreenlet, eventually
from tests.waiting import seconds
from tests.websocket_client import WebSocketClient


class Line:
    """A session on one end of a socket pair, and its client on the other."""

    def __init__(self) -> None:
        options = SockJSOptions()
        server_end, client_end = socketpair()
        client_end.settimeout(seconds(10))
        self.client = WebSocketClient(client_end, {}, b"")
        self.socket = server_end
        timers = Timers()
        websocket = WebSocket(server_end, server_end.recv, Flusher(0), timers, options, options.max_size)
        session = WebSocketSession(websocket)
        sessions = Sessions(timers, lambda: options, lambda key: None)
        self.serving = gevent.spawn(session.serve, self._connect, None, sessions)
        assert self.client.recv_text() == "o"

    def _connect(self, transport: SockJSTransport, opening: Opening | None) -> FakePeer:
        self.peer = FakePeer(transport)
        return self.peer

    def close(self) -> None:
        self.client.drop()
        self.serving.join(seconds(10))
        self.socket.close()


@pytest.fixture
def line(nothing_left_behind: None) -> Iterator[Line]:
    line = Line()
    yield line
    line.close()


def test_other_greenlets_run_between_messages_of_a_frame(line: Line, background_greenlet: BackgroundGreenlet) -> None:
    turns: list[int] = []
    line.peer.on_message = lambda: turns.append(background_greenlet.turns)
    line.client.send_text(json.dumps(["a"] * 20))
    eventually(lambda: len(turns) == 20)
    assert len(set(turns)) >= 4, "the other greenlet has run in between"


def test_messages_after_the_closing_message_are_not_handled(line: Line) -> None:
    line.client.send_text(json.dumps(["a", "close", "b"]))
    assert line.client.recv_text() == 'c[3000,"as you wish"]'
    line.client.wait_closed()
    assert line.peer.messages == ["a", "close"]
