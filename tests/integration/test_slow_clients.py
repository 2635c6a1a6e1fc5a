"""A client that does not read has a limited queue, is closed with a reason, and does not delay other clients."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import pytest

from gentrifugo.app.protocol.v2.token_making import connection_token
from tests.api_client import APIClient
from tests.protocol_client import ProtocolClient
from tests.servers import Server
from tests.stream_client import StreamClient
from tests.waiting import eventually
from tests.websocket_client import Closed

StartServer = Callable[..., Server]

KEY = "the key of tests for tokens of protocol v2"
PAYLOAD = "x" * 10_000


def publish_until(api: APIClient, done: Callable[[], bool]) -> int:
    """Publish numbered messages until `done` returns true; returns their number."""
    for number in range(10_000):
        api.publish("news", [number, PAYLOAD])
        if done():
            return number + 1
    raise AssertionError("nothing happened after 10,000 messages")


def num_clients(api: APIClient) -> int:
    return int(api.call("node")["body"]["data"]["metrics"]["node_num_clients"])


def test_client_over_its_queue_limit_is_closed_without_affecting_others(start_server: StartServer) -> None:
    server = start_server(client_queue_max_size=100_000)
    api = APIClient(server.host, server.port)
    with ProtocolClient(server, "slow") as slow, ProtocolClient(server, "quick") as quick:
        for client in (slow, quick):
            client.subscribe("news")
        received = []

        def slow_is_gone() -> bool:
            received.append(quick.message()[0])
            return num_clients(api) == 1

        count = publish_until(api, slow_is_gone)
        assert received == list(range(count))


def test_slow_client_reads_complete_frames_and_the_close_reason(start_server: StartServer) -> None:
    server = start_server(client_queue_max_size=100_000)
    api = APIClient(server.host, server.port)
    with ProtocolClient(server, "slow") as slow:
        slow.subscribe("news")
        publish_until(api, lambda: num_clients(api) == 0)
        # What the sockets held arrives, in order and whole; what waited behind it has been dropped.
        read = []
        with pytest.raises(Closed) as closed:
            while True:
                read.append(slow.message()[0])
        assert read == list(range(len(read)))
        assert (closed.value.code, closed.value.advice) == (3000, {"reason": "slow", "reconnect": False})
    assert re.search(
        r"WARNING client [-0-9a-f]+ \(user 'slow'\): slow client, closing connection: \d{6,} bytes unsent", server.log
    )
    assert api.call("node")["body"]["data"]["metrics"]["client_num_closed_slow"] == 1
    eventually(lambda: api.call("channels")["body"]["data"] == [])


def test_client_that_does_not_read_is_closed_after_the_timeout(start_server: StartServer) -> None:
    server = start_server(client_message_write_timeout=0.5)
    api = APIClient(server.host, server.port)
    with ProtocolClient(server, "slow") as slow:
        slow.subscribe("news")
        for number in range(1000):
            api.publish("news", [number, PAYLOAD])
        eventually(lambda: num_clients(api) == 0)
    assert api.call("node")["body"]["data"]["metrics"]["client_num_closed_send_error"] == 1


def test_a_client_that_answers_no_ping_is_closed(start_server: StartServer) -> None:
    server = start_server(ping_interval=0.5)
    api = APIClient(server.host, server.port)
    with ProtocolClient(server, "dead"):  # reads nothing, so it answers nothing
        eventually(lambda: num_clients(api) == 0)
    assert api.call("node")["body"]["data"]["metrics"]["client_num_closed_ping_error"] == 1


def test_client_that_answers_pings_is_not_closed(start_server: StartServer) -> None:
    server = start_server(ping_interval=0.3)
    with ProtocolClient(server, "alive") as alive:
        alive.socket.assert_quiet(2)
        assert alive.call("ping")["method"] == "ping"


@pytest.mark.parametrize("coding", ["", "Accept-Encoding: gzip\r\n"], ids=["plain", "compressed"])
@pytest.mark.parametrize("path", ["http_stream", "sse", "uni_http_stream", "uni_sse"])
def test_slow_stream_reads_complete_messages_and_the_close_code(
    start_server: StartServer, path: str, coding: str
) -> None:
    options = {"token_hmac_secret_key": KEY, "stream_compression": True, "uni_sse": True, "uni_http_stream": True}
    server = start_server(client_queue_max_size=100_000, **options)
    api = APIClient(server.host, server.port)
    request = {"token": connection_token(KEY, "slow", channels=["news"])}
    first = request if path.startswith("uni_") else {"id": 1, "connect": request}
    noise = random.Random(1)
    with StreamClient(server.port, f"/connection/{path}", first, headers=coding) as slow:
        assert slow.next()["connect"]
        eventually(lambda: num_clients(api) == 1)
        for number in range(10_000):
            api.publish("news", [number, noise.randbytes(10_000).hex()])
            if num_clients(api) == 0:
                break
        messages = iter(slow.next, None)
        received = [message.get("push", message) for message in messages]
        numbers = [message["pub"]["data"][0] for message in received if "pub" in message]
        assert numbers == list(range(len(numbers)))
        assert 0 < len(numbers) < number
        assert received[-1] == {"disconnect": {"code": 3008, "reason": "slow"}}
