"""The messages of one-way connections."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from gentrifugo.app.node.node import Node
from gentrifugo.app.protocol.v2.client import StreamSession
from gentrifugo.app.protocol.v2.format import InvalidFrame
from gentrifugo.app.protocol.v2.messages import Disconnect, Push, Reply
from gentrifugo.app.protocol.v2.one_way import ONE_WAY
from tests.local_client_v2 import LocalClientV2

StartNode = Callable[..., Node]


class OneWayClient(LocalClientV2):
    """A client whose connection is one-way."""

    def __init__(self, node: Node) -> None:
        super().__init__(node, stream=StreamSession("secret"))
        self.connection.format = ONE_WAY


def test_a_request_to_connect_is_a_command() -> None:
    (command,) = ONE_WAY.decode_commands(b'{"token":"t"}')
    assert command.id == 1
    assert command.connect is not None
    assert command.connect.token == "t"


def test_empty_connect_request_is_accepted() -> None:
    (command,) = ONE_WAY.decode_commands(b"")
    assert command.method == "connect"


@pytest.mark.parametrize("body", [b"hello", b"[]", b'{"token":1}', b"\xff", b"[" * 10_000])
def test_invalid_connect_request_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidFrame):
        list(ONE_WAY.decode_commands(body))


def test_push_is_not_wrapped_in_a_reply() -> None:
    message = ONE_WAY.encode_reply(Reply(push=Push(disconnect=Disconnect(3000, "connection closed"))))
    assert json.loads(message) == {"disconnect": {"code": 3000, "reason": "connection closed"}}
    assert ONE_WAY.encode_publication("news", b'{"a":1}', offset=3) == (
        b'{"channel":"news","pub":{"data":{"a":1},"offset":3}}'
    )
