"""A client of a node in the same process: it passes commands directly to its connection, without a network."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

from gentrifugo.app.net.outbox import NO_LIMIT
from gentrifugo.app.node.node import Node
from gentrifugo.app.protocol.v1.client import ClientV1
from tests.credentials import connect_params
from tests.fakes import FakeTransport
from tests.greenlets import settle


class LocalClient:
    """Sends and receives like a client. `received` returns the messages since the last call."""

    def __init__(self, node: Node, limit: int = NO_LIMIT) -> None:
        self.transport = FakeTransport(node.flusher, limit)
        self.connection = ClientV1(node, self.transport)
        self.transport.on_overflow = self.connection.close_slow
        self.transport.on_error = self.connection.close_failed
        self._seen = 0
        self._uids = count(1)

    @classmethod
    def connected(cls, node: Node, user: str = "alice", info: str = "") -> LocalClient:
        """Return a client that has connected as `user` and read the reply."""
        client = cls(node)
        assert "error" not in client.call("connect", **connect_params(user, info))
        return client

    @property
    def uid(self) -> str:
        return self.connection.uid

    def send(self, message: bytes | str | list[Any] | dict[str, Any]) -> None:
        """Send one frame: bytes and text unchanged, other values as JSON."""
        if isinstance(message, (list, dict)):
            message = json.dumps(message)
        self.connection.handle(message if isinstance(message, bytes) else message.encode())

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Run one command and return its reply, which must be the last message; the others can be `received`."""
        uid = str(next(self._uids))
        self.send({"uid": uid, "method": method, "params": params})
        settle()
        reply = json.loads(self.transport.messages().pop())
        assert (reply["uid"], reply["method"]) == (uid, method)
        return dict(reply)

    def subscribe(self, channel: str, **params: Any) -> dict[str, Any]:
        """Subscribe, which must succeed, and return the body of the reply."""
        reply = self.call("subscribe", channel=channel, **params)
        assert reply["body"]["status"], reply
        return dict(reply["body"])

    def received(self) -> list[Any]:
        """Return the messages since the last call, including replies, decoded."""
        return [json.loads(message) for message in self.received_bytes()]

    def received_bytes(self) -> list[bytes]:
        """Return the messages since the last call, not decoded."""
        settle()
        messages = self.transport.messages()
        new, self._seen = messages[self._seen :], len(messages)
        return new

    @property
    def close_reason(self) -> Any:
        """The decoded reason of the close frame, whose code must be 3000; None while the client is open."""
        settle()
        assert len(self.transport.closes) <= 1
        if not self.transport.closes:
            return None
        code, reason = self.transport.closes[0]
        assert code == 3000
        return reason


def closed(reason: str, reconnect: bool = False) -> dict[str, Any]:
    """Return the expected `close_reason` after a close for `reason`."""
    return {"reason": reason, "reconnect": reconnect}
