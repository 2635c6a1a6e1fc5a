"""centrifuge-js 5.8 receives every payload of a channel with deltas, and only what passes its filter."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.api_client import APIClient
from tests.clients.driver import Driver
from tests.clients.v2 import Library
from tests.credentials import API_KEY, TOKEN_KEY, jwt
from tests.servers import Server, running

OPTIONS: dict[str, Any] = {
    "token_hmac_secret_key": TOKEN_KEY,
    "api_key": API_KEY,
    "namespaces": [
        {
            "name": "delta",
            "allow_subscribe_for_client": True,
            "allowed_delta_types": ["fossil"],
            "history_size": 100,
            "history_lifetime": 60,
            "recover": True,
        },
        {"name": "tags", "allow_subscribe_for_client": True, "allow_tags_filter": True},
    ],
}
WORDS = ["alpha", "Größe", "→", "😀", '"quoted"', "back\\slash", "line\nbreak", "жизнь", "x" * 40]

Start = Callable[[], Driver]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(OPTIONS, tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def api(server: Server) -> APIClient:
    return APIClient(server.host, server.port)


@pytest.fixture(params=["json", "protobuf"])
def start_client(request: pytest.FixtureRequest, server: Server) -> Iterator[Start]:
    """Start a client that has connected."""
    clients: list[Driver] = []

    def start() -> Driver:
        client = Library("centrifuge-js", request.param).start(server.port, jwt(sub="42"))
        clients.append(client)
        client.send(do="connect")
        client.wait_for("connected")
        return client

    yield start
    for client in clients:
        client.stop()


def subscribe(client: Driver, channel: str, **options: Any) -> None:
    client.send(do="subscribe", channel=channel, options=options)
    client.wait_for("subscribed", channel=channel)


def data_of(client: Driver, count: int) -> list[Any]:
    return [client.wait_for("publication")["data"] for _ in range(count)]


def documents(count: int) -> list[dict[str, Any]]:
    """Payloads that each differ from the previous one in a part; some are completely different."""
    chance = random.Random(7)
    words = chance.choices(WORDS, k=80)
    made: list[dict[str, Any]] = []
    for number in range(count):
        if number % 10 == 9:
            words = chance.choices(WORDS, k=chance.randrange(80))
        for _ in range(chance.randrange(4)):
            words.insert(chance.randrange(len(words) + 1), chance.choice(WORDS))
        made.append({"number": number, "words": list(words)})
    return made


def test_every_payload_arrives_also_after_a_lost_connection(api: APIClient, start_client: Start, unique: str) -> None:
    client, plain = start_client(), start_client()
    subscribe(client, f"delta:{unique}", delta="fossil")
    subscribe(plain, f"delta:{unique}")
    expected = documents(60)
    for document in expected[:30]:
        api.publish(f"delta:{unique}", document)
    assert data_of(client, 30) == expected[:30]
    client.send(do="disconnect")
    client.wait_for("disconnected")
    for document in expected[30:40]:
        api.publish(f"delta:{unique}", document)
    client.send(do="connect")
    assert client.wait_for("subscribed", channel=f"delta:{unique}", recovered=True)
    for document in expected[40:]:
        api.publish(f"delta:{unique}", document)
    assert data_of(client, 30) == expected[30:]
    assert data_of(plain, 60) == expected
    client.send(do="delta_stats", channel=f"delta:{unique}")
    stats = client.wait_for("delta_stats")
    assert stats["full"] + stats["patches"] == 60
    assert stats["patches"] > 40


def test_publish_method_accepts_the_delta_flag(api: APIClient, start_client: Start, unique: str) -> None:
    client = start_client()
    subscribe(client, f"delta:{unique}", delta="fossil")
    expected = documents(3)
    for document in expected:
        api.call_v4("publish", channel=f"delta:{unique}", data=document, delta=True)
    assert data_of(client, 3) == expected


def test_client_receives_publications_that_pass_its_filter(api: APIClient, start_client: Start, unique: str) -> None:
    client = start_client()
    cheap = {
        "op": "and",
        "nodes": [{"key": "kind", "cmp": "eq", "val": "offer"}, {"key": "price", "cmp": "lt", "val": "10"}],
    }
    subscribe(client, f"tags:{unique}", tagsFilter=cheap)
    for number, price in enumerate(("12.5", "9.99", "100", "-1")):
        api.call_v4("publish", channel=f"tags:{unique}", data=number, tags={"kind": "offer", "price": price})
    api.call_v4("publish", channel=f"tags:{unique}", data=4)
    api.call_v4("publish", channel=f"tags:{unique}", data=5, tags={"kind": "offer", "price": "5"})
    assert data_of(client, 3) == [1, 3, 5]
