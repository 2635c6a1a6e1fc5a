"""Published data arrives unchanged, byte for byte, on every path of a message."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.api_client import APIClient
from tests.credentials import private_params
from tests.protocol_client import ProtocolClient
from tests.servers import Server, running

PAYLOADS = {
    "null": "null",
    "true": "true",
    "empty text": '""',
    "empty object": "{}",
    "empty array": "[]",
    "key order": '{"z":1,"a":2,"m":{"y":1,"b":2}}',
    "key twice": '{"a":1,"a":2}',
    "exponent": "1e3",
    "capital exponent": "1E+03",
    "trailing zero": "1.50",
    "minus zero": "-0",
    "long fraction": "0.1000000000000000055511151231257827",
    "beyond 64 bits": "123456789012345678901234567890",
    "beyond a double": "1e400",
    "letters": '"Grüße, 世界 😀"',
    "escaped letters": '"Gr\\u00fc\\u00DFe \\ud83d\\ude00"',
    "escaped slash": '"<\\/script>"',
    "angle brackets": '"<b>&amp;</b>"',
    "lone surrogate": '"\\ud800"',
    "escaped control characters": '"\\u0000\\u001f\\n"',
    "line separators": '"\u2028\u2029"',
    "deep": "[" * 100 + "]" * 100,
    "long": '"' + "x" * 60_000 + '"',
}

INFO = '{"z":1.50,"a":1e3,"name":"Gr\\u00fc\\u00dfe"}'

NAMESPACE = {
    "name": "all",
    "publish": True,
    "presence": True,
    "join_leave": True,
    "history_size": 10,
    "history_lifetime": 60,
    "recover": True,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running({"namespaces": [NAMESPACE]}, tmp_path_factory.mktemp("payloads")) as server:
        yield server


def assert_relayed(payload: str, text: str, field: str = "data") -> None:
    found = re.search(f'"{field}": ?{re.escape(payload)}[,}}]', text)
    assert found, f"{field} is not {payload[:200]} in {text[:400]}"


def next_message(client: ProtocolClient) -> str:
    """The text of the next frame with a message; joins and replies are skipped."""
    while '"method":"message"' not in (text := client.socket.recv_text()):
        pass
    return text


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS.keys())
def test_payload_is_relayed_unchanged(server: Server, payload: str, request: pytest.FixtureRequest) -> None:
    channel = f"all:{request.node.callspec.id}"
    name = json.dumps(channel)
    api = APIClient(server.host, server.port)
    publish = f'{{"method":"publish","params":{{"channel":{name},"data":{payload}}}}}'
    broadcast = f'{{"method":"broadcast","params":{{"channels":[{name}],"data":{payload}}}}}'
    with ProtocolClient(server, user="42") as client:
        client.subscribe(channel)
        ways: dict[str, Callable[[], object]] = {
            "API": lambda: api.post(publish),
            "API, array": lambda: api.post(f"[{publish}]"),
            "form": lambda: api.post_form(publish),
            "multipart form": lambda: api.post_multipart(publish),
            "broadcast": lambda: api.post(broadcast),
            "client": lambda: client.socket.send_text(publish),
        }
        for send in ways.values():
            send()
            assert_relayed(payload, next_message(client))

        assert_relayed(payload, api.post(f'{{"method":"history","params":{{"channel":{name}}}}}').body.decode())
    with ProtocolClient(server, user="42") as late:
        recover = {"channel": channel, "recover": True, "last": ""}
        late.socket.send_json({"uid": "r", "method": "subscribe", "params": recover})
        while '"uid":"r"' not in (text := late.socket.recv_text()):
            pass
        assert len(re.findall(f'"data": ?{re.escape(payload)}[,}}]', text)) == len(ways)


def test_default_info_is_relayed_unchanged(server: Server) -> None:
    with ProtocolClient(server, user="42", info=INFO) as client:
        client.socket.send_json({"method": "subscribe", "params": {"channel": "all:info"}})
        assert_relayed(INFO, client.socket.recv_text(), "default_info")
        client.socket.recv_text()
        client.socket.send_json({"method": "presence", "params": {"channel": "all:info"}})
        assert_relayed(INFO, client.socket.recv_text(), "default_info")
        client.socket.send_json({"method": "publish", "params": {"channel": "all:info", "data": 1}})
        assert_relayed(INFO, next_message(client), "default_info")


def test_channel_info_is_relayed_unchanged(server: Server) -> None:
    with ProtocolClient(server, user="42") as client:
        params: dict[str, Any] = private_params(client.id, "$all:info", INFO)
        client.socket.send_json({"method": "subscribe", "params": params})
        assert_relayed(INFO, client.socket.recv_text(), "channel_info")
