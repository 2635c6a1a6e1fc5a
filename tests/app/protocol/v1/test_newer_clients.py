"""Behaviour towards clients for later versions of Centrifugo, which their first message tells."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gentrifugo.app.http.newer_versions import FOR_CLIENTS, newer_versions
from gentrifugo.app.node.node import Node
from gentrifugo.app.protocol.v1.newer_clients import CLOSE_NEWER_PROTOCOL, is_newer
from tests.local_client import LocalClient


@pytest.mark.parametrize(
    "message",
    [
        b'{"connect":{},"id":1}',  # centrifuge-js 3 and later
        b'{"id":1,"connect":{"token":"eyJ.eyJ.c2ln","name":"js"}}',
        b'{"connect":{},"id":1}\n{"subscribe":{"channel":"news"},"id":2}',
        b'{"params":{"token":"eyJ.eyJ.c2ln"},"id":1}',  # centrifuge-js 2
        b'{"method":1,"params":{"channel":"news"},"id":2}',
    ],
)
def test_a_command_with_a_number_is_of_a_later_protocol(
    start_node: Callable[..., Node], message: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    newer_versions.reset()
    node = start_node()
    for _ in range(3):
        client = LocalClient(node)
        client.send(message)
        assert client.received() == []
        assert client.transport.closes == [(3501, {"reason": FOR_CLIENTS, "reconnect": False})]
    (record,) = caplog.records
    assert "a client speaks a protocol of Centrifugo 2 or later" in record.getMessage()
    assert "centrifuge-js 1.x" in record.getMessage()


def test_the_close_tells_these_clients_not_to_come_back() -> None:
    assert CLOSE_NEWER_PROTOCOL.code == 3501
    assert FOR_CLIENTS in CLOSE_NEWER_PROTOCOL.close_reason
    assert '"reconnect": false' in CLOSE_NEWER_PROTOCOL.close_reason


@pytest.mark.parametrize(
    "message",
    [
        *(b"", b"x", b"[]", b"null", b"1", b"\xff", b'{"id":"1","connect":{}}', b'{"uid":"1","method":"ping"}'),
        *(b'{"id":1,"method":"connect"}', b'[{"id":1,"connect":{}}]', b"[" * 100_000, b'{"id":1.5}'),
    ],
)
def test_other_messages_are_not(message: bytes) -> None:
    assert not is_newer(message)
