"""One channel with clients of both versions and both formats, and publishers of every kind: all receive the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from centrifuge.protocol import client_pb2

from tests.api_client import JSON_TYPE, APIClient
from tests.credentials import API_KEY, SECRET, TOKEN_KEY
from tests.protocol_client import ProtocolClient
from tests.protocol_client_v2 import ProtocolClientV2, split
from tests.redis_server import redis_server
from tests.servers import Server

CHANNEL = "room:all"
EACH = 2000
"""Messages of each of the five publishers."""
TOGETHER = 20
"""Messages that a publisher sends in one frame or request."""
OPTIONS: dict[str, Any] = {
    "secret": SECRET,
    "token_hmac_secret_key": TOKEN_KEY,
    "api_key": API_KEY,
    "namespaces": [
        {
            "name": "room",
            "publish": True,
            "allow_subscribe_for_client": True,
            "allow_publish_for_client": True,
            "history_size": 100,
            "history_lifetime": 60,
            "allow_recovery": True,
        }
    ],
}
PATIENCE = 40
"""Seconds for the next message, while everybody is busy."""


def payload(publisher: str, number: int) -> bytes:
    """JSON that would change if it were decoded and encoded again."""
    return b'{"from": "%s","number":%d, "price":1.50,"name":"Gr\\u00fc\\u00dfe"}' % (publisher.encode(), number)


# -- publishers: each sends its messages in order, TOGETHER at a time


def batches(publisher: str) -> Iterator[list[bytes]]:
    for start in range(0, EACH, TOGETHER):
        yield [payload(publisher, number) for number in range(start, start + TOGETHER)]


def publish_as_v1_client(server: Server) -> None:
    with ProtocolClient(server, "v1") as client:
        client.subscribe(CHANNEL)
        for batch in batches("v1 client"):
            commands = (
                b'{"uid":"p","method":"publish","params":{"channel":"%s","data":%s}}' % (CHANNEL.encode(), data)
                for data in batch
            )
            client.socket.send_text(b"[" + b",".join(commands) + b"]")
            accepted = 0
            while accepted < len(batch):
                came = client.socket.recv_json(PATIENCE)
                replies = [reply for reply in (came if isinstance(came, list) else [came]) if reply.get("uid") == "p"]
                assert all(reply["body"]["status"] for reply in replies), replies
                accepted += len(replies)


def publish_as_v2_json_client(server: Server) -> None:
    with ProtocolClientV2(server, "json") as client:
        for batch in batches("v2 json client"):
            lines = (b'{"id":7,"publish":{"channel":"%s","data":%s}}' % (CHANNEL.encode(), data) for data in batch)
            client.socket.send_text(b"\n".join(lines))
            for _ in batch:
                assert client.recv(PATIENCE) == {"id": 7, "publish": {}}


def publish_as_v2_protobuf_client(server: Server) -> None:
    with ProtocolClientV2(server, "protobuf", "protobuf") as client:
        for batch in batches("v2 protobuf client"):
            commands = (
                client_pb2.Command(id=7, publish=client_pb2.PublishRequest(channel=CHANNEL, data=data))
                for data in batch
            )
            client.send_messages(*commands)
            for _ in batch:
                assert client.recv(PATIENCE) == {"id": 7, "publish": {}}


def publish_over_v1_api(server: Server) -> None:
    api = APIClient(server.host, server.port)
    for batch in batches("v1 api"):
        commands = (
            b'{"method":"publish","params":{"channel":"%s","data":%s}}' % (CHANNEL.encode(), data) for data in batch
        )
        answer = api.post((b"[" + b",".join(commands) + b"]").decode())
        assert [reply["error"] for reply in answer.json()] == [None] * len(batch)


def publish_over_v4_api(server: Server) -> None:
    api = APIClient(server.host, server.port)
    headers = {"Content-Type": JSON_TYPE, "X-API-Key": API_KEY}
    for batch in batches("v4 api"):
        commands = (b'{"publish":{"channel":"%s","data":%s}}' % (CHANNEL.encode(), data) for data in batch)
        body = b'{"commands":[' + b",".join(commands) + b"]}"
        replies = api.request("POST", "/api/batch", body, headers).json()["replies"]
        assert ["error" in reply for reply in replies] == [False] * len(batch)


PUBLISHERS: dict[str, Callable[[Server], None]] = {
    "v1 client": publish_as_v1_client,
    "v2 json client": publish_as_v2_json_client,
    "v2 protobuf client": publish_as_v2_protobuf_client,
    "v1 api": publish_over_v1_api,
    "v4 api": publish_over_v4_api,
}
TOTAL = EACH * len(PUBLISHERS)


# -- subscribers: each notes the payloads as they came, and their offsets in v2


class Data(msgspec.Struct):
    """The body of a message of v1, or a publication of v2."""

    data: msgspec.Raw = msgspec.Raw()
    offset: int = 0


class V1Message(msgspec.Struct):
    """A message of v1."""

    method: str = ""
    body: Data = msgspec.field(default_factory=Data)


class V2Push(msgspec.Struct):
    """A push of v2."""

    pub: Data | None = None


class V2Message(msgspec.Struct):
    """A reply or a push of v2."""

    push: V2Push = msgspec.field(default_factory=V2Push)


class Subscriber:
    """One client on the channel; `payloads` records what it received, in order, and `offsets` those of v2."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.offsets: list[int] = []

    def receive(self) -> None:
        """Receive messages until there are TOTAL messages."""
        while len(self.payloads) < TOTAL:
            self._take_frame()

    def _take_frame(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class V1Subscriber(Subscriber):
    """A client of v1."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._client = ProtocolClient(server, "subscriber")
        self._client.subscribe(CHANNEL)

    def _take_frame(self) -> None:
        message = msgspec.json.decode(self._client.socket.recv_text(PATIENCE), type=V1Message)
        assert message.method == "message", message
        self.payloads.append(bytes(message.body.data))

    def close(self) -> None:
        self._client.close()


class V2Subscriber(Subscriber):
    """A client of v2."""

    def __init__(self, server: Server, format_: str, is_recoverable: bool) -> None:
        super().__init__()
        self._client = ProtocolClientV2(server, "subscriber", format_)
        self._client.subscribe(CHANNEL, recoverable=is_recoverable)

    def _take_frame(self) -> None:
        frame = self._client.recv_frame(PATIENCE)
        if self._client.format == "json":
            for line in frame.split(b"\n"):
                publication = msgspec.json.decode(line, type=V2Message).push.pub
                if publication is not None:
                    self._note(bytes(publication.data), publication.offset)
                else:
                    self._client.send({})
        else:
            for message in split(frame):
                reply = client_pb2.Reply.FromString(message)
                if reply.push.HasField("pub"):
                    self._note(reply.push.pub.data, reply.push.pub.offset)
                else:
                    self._client.send({})

    def _note(self, data: bytes, offset: int) -> None:
        self.payloads.append(data)
        self.offsets.append(offset)

    def close(self) -> None:
        self._client.close()


def subscribe_all(nodes: list[Server]) -> list[Subscriber]:
    """Subscribers of every kind, on each node."""
    return [
        subscriber
        for node in nodes
        for subscriber in (
            V1Subscriber(node),
            V2Subscriber(node, "json", is_recoverable=False),
            V2Subscriber(node, "json", is_recoverable=True),
            V2Subscriber(node, "protobuf", is_recoverable=False),
            V2Subscriber(node, "protobuf", is_recoverable=True),
        )
    ]


def check_that_all_see_the_same(nodes: list[Server]) -> None:
    subscribers = subscribe_all(nodes)
    with ThreadPoolExecutor(len(PUBLISHERS) + len(subscribers)) as pool:
        receiving = [pool.submit(subscriber.receive) for subscriber in subscribers]
        publishing = [
            pool.submit(publish, nodes[index % len(nodes)]) for index, publish in enumerate(PUBLISHERS.values())
        ]
        for future in (*publishing, *receiving):
            future.result()
    for subscriber in subscribers:
        subscriber.close()
    first = subscribers[0].payloads
    for subscriber in subscribers:
        assert subscriber.payloads == first
        assert subscriber.offsets in ([], list(range(1, TOTAL + 1)))
    for publisher in PUBLISHERS:
        own = [data for data in first if json.loads(data)["from"] == publisher]
        assert own == [payload(publisher, number) for number in range(EACH)]


@pytest.mark.timeout(180)
def test_all_clients_see_the_messages_of_all_publishers(start_server: Callable[..., Server]) -> None:
    check_that_all_see_the_same([start_server(**OPTIONS)])


@pytest.mark.timeout(180)
def test_all_clients_of_two_nodes_see_the_messages_of_all_publishers(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    with redis_server(tmp_path) as redis:
        check_that_all_see_the_same([start_server(**OPTIONS, **redis.options) for _ in range(2)])
