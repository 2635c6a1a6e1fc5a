"""A Centrifugo v1 client for tests, over WebSocket: it sends commands, and separates replies and pushes."""

from __future__ import annotations

import itertools
from collections import deque
from typing import Any, Protocol

from tests.credentials import connect_params
from tests.websocket_client import PATIENCE, Closed, WebSocketClient


class Reachable(Protocol):
    """A server that listens, started as a command or under gunicorn."""

    host: str
    port: int

    @property
    def secret(self) -> str:
        """The key that signs tokens."""
        ...


class ProtocolClient:
    """One connection that has sent `connect`; `id` is the client id that the server gave it."""

    def __init__(self, server: Reachable, user: str = "", info: str = "", timestamp: int | None = None) -> None:
        self.socket = WebSocketClient.connect(server.host, server.port)
        self._uids = itertools.count(1)
        self._pushes: deque[dict[str, Any]] = deque()
        reply = self.call("connect", connect_params(user, info, timestamp, secret=server.secret))
        self.connected: dict[str, Any] = reply["body"]
        self.id = str(self.connected.get("client", ""))

    def call(self, method: str, params: Any = None) -> dict[str, Any]:
        """Send one command and return its reply; earlier pushes are stored for `push`."""
        uid = str(next(self._uids))
        command = {"uid": uid, "method": method}
        self.socket.send_json(command if params is None else command | {"params": params})
        while True:
            frame = self.socket.recv_json()
            if frame.get("uid") == uid:
                return dict(frame)
            self._pushes.append(frame)

    def subscribe(self, channel: str, **params: Any) -> dict[str, Any]:
        """Subscribe, which must succeed, and return the body of the reply."""
        reply = self.call("subscribe", {"channel": channel, **params})
        assert "error" not in reply, reply
        return dict(reply["body"])

    def push(self, timeout: float = PATIENCE) -> dict[str, Any]:
        """Return the next push: a message, join, leave or unsubscribe."""
        return self._pushes.popleft() if self._pushes else self.socket.recv_json(timeout)

    def message(self) -> Any:
        """Return the data of the next push, which must be a message."""
        push = self.push()
        assert push["method"] == "message", push
        return push["body"]["data"]

    def wait_closed(self, timeout: float = PATIENCE) -> Closed:
        return self.socket.wait_closed(timeout)

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> ProtocolClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
