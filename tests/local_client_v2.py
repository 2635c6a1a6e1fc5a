"""A client of protocol version 2 of a node in the same process: it passes frames directly to its connection."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

from gentrifugo.app.net.outbox import NO_LIMIT
from gentrifugo.app.node.node import Node
from gentrifugo.app.protocol.v2.client import ClientV2
from gentrifugo.app.protocol.v2.json_format import JSON
from gentrifugo.app.protocol.v2.messages import (
    Command,
    ConnectRequest,
    Publication,
    Reply,
    SubscribeRequest,
    SubscribeResult,
)
from gentrifugo.app.protocol.v2.protobuf_code import Decoder, decoder_of, encoder_of, with_length
from gentrifugo.app.protocol.v2.protobuf_format import PROTOBUF
from gentrifugo.app.protocol.v2.protobuf_wire import read_varint
from gentrifugo.app.protocol.v2.token_making import connection_token, subscription_token
from gentrifugo.app.protocol.v2.tokens import TokenVerifier
from tests.fakes import FakeTransport
from tests.greenlets import settle
from tests.waiting import seconds

KEY = "the key of tests for tokens of protocol v2"
"""The required value of option `token_hmac_secret_key`."""


class ClientParts:
    """The objects that the clients of a process share, with the keys of the configuration of `node`."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.tokens = TokenVerifier(node.config)


class LocalClientV2:
    """Sends the same frames as a client library. `received` returns the messages since the last call."""

    def __init__(self, node: Node, limit: int = NO_LIMIT, **options: Any) -> None:
        self.node = node
        self.transport = FakeTransport(node.flusher, limit)
        self.connection = ClientV2(ClientParts(node), self.transport, JSON, **options)
        self.transport.on_overflow = self.connection.close_slow
        self.transport.on_error = self.connection.close_failed
        self._seen = 0
        self._ids = count(1)

    @classmethod
    def connected(cls, node: Node, user: str = "alice", **claims: Any) -> LocalClientV2:
        """Return a client that has connected as `user` and read the reply."""
        client = cls(node)
        assert "error" not in client.call("connect", token=connection_token(KEY, user, **claims))
        return client

    def send(self, *commands: bytes | dict[str, Any]) -> None:
        """Send one frame: bytes unchanged, other values as JSON, one command per line."""
        lines = [command if isinstance(command, bytes) else json.dumps(command).encode() for command in commands]
        self.connection.handle(b"\n".join(lines))

    def call(self, method: str, /, **request: Any) -> dict[str, Any]:
        """Carry out one command, and return its result, or {"error": …}. Other pushes can be `received`."""
        id_ = next(self._ids)
        self.send({"id": id_, method: request})
        settle()
        messages = [json.loads(message) for message in self.transport.messages()]
        (reply,) = [message for message in messages if message.get("id") == id_]
        return {"error": reply["error"]} if "error" in reply else dict(reply[method])

    def subscribe(self, channel: str, **request: Any) -> dict[str, Any]:
        """Subscribe, which must succeed; returns the result."""
        result = self.call("subscribe", channel=channel, **request)
        assert "error" not in result
        self.received()
        return result

    def token(self, channel: str, **claims: Any) -> str:
        """Return a token for a channel."""
        return subscription_token(KEY, self.connection.user, channel, **claims)

    def received(self) -> list[Any]:
        """Return the messages since the last call, including replies, decoded."""
        settle()
        messages = self.transport.messages()
        new, self._seen = messages[self._seen :], len(messages)
        return [json.loads(message) for message in new]

    def pushes(self) -> list[Any]:
        """Return the pushes since the last call."""
        return [message["push"] for message in self.received() if "push" in message]

    @property
    def close(self) -> tuple[int, Any] | None:
        """Code and reason of the close frame; None while the connection is open."""
        settle()
        assert len(self.transport.closes) <= 1
        return self.transport.closes[0] if self.transport.closes else None


class LocalProtobufClient:
    """A client that uses Protobuf. `received` returns all replies and pushes so far."""

    def __init__(self, node: Node, user: str = "alice") -> None:
        self.transport = FakeTransport(node.flusher)
        self.connection = ClientV2(ClientParts(node), self.transport, PROTOBUF)
        self.send(Command(1, connect=ConnectRequest(connection_token(KEY, user))))

    def send(self, command: Command) -> None:
        """Send one frame with one command."""
        self.connection.handle(with_length(_encode(command)))

    def subscribe(self, channel: str, **request: Any) -> SubscribeResult:
        """Subscribe, which must succeed; returns the result."""
        self.send(Command(2, subscribe=SubscribeRequest(channel, **request)))
        (result,) = [reply.subscribe for reply in self.received() if reply.subscribe is not None]
        return result

    def received(self) -> list[Reply]:
        """Return all replies and pushes so far, without pings."""
        settle()
        assert self.transport.outbox.drain(seconds(5))
        data, position, replies = b"".join(self.transport.socket.sent), 0, []
        while position < len(data):
            length, start = read_varint(data, position)
            position = start + length
            if length:  # FakeTransport puts a zero behind each message, which is a ping
                replies.append(_decode(data, start, position))
        return replies

    def publications(self) -> list[Publication]:
        """Return all publications so far."""
        return [reply.push.pub for reply in self.received() if reply.push is not None and reply.push.pub is not None]


_encode = encoder_of(Command)
_decode: Decoder[Reply] = decoder_of(Reply)
