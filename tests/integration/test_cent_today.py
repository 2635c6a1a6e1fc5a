"""cent 5.2, the Python library for the API of later versions: every method, with the real library and a real server."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator

import pytest
from cent import (
    AsyncClient,
    BatchRequest,
    BroadcastRequest,
    CentApiResponseError,
    CentUnauthorizedError,
    ChannelsRequest,
    Client,
    Disconnect,
    DisconnectRequest,
    HistoryRemoveRequest,
    HistoryRequest,
    InfoRequest,
    PresenceRequest,
    PresenceStatsRequest,
    PublishRequest,
    RefreshRequest,
    RefreshResult,
    StreamPosition,
    SubscribeRequest,
    SubscribeResult,
    UnsubscribeRequest,
)

from tests.protocol_client import ProtocolClient
from tests.redis_server import RedisServer, redis_server
from tests.servers import Server, running
from tests.waiting import eventually

KEY = "a key for tests"
NAMESPACES = [{"name": "all", "presence": True, "history_size": 3, "history_lifetime": 60}]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module", params=["memory", "redis"])
def server(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisServer, request: pytest.FixtureRequest
) -> Iterator[Server]:
    options = {"namespaces": NAMESPACES, "api_key": KEY, **(redis.options if request.param == "redis" else {})}
    with running(options, tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def channel(unique: str) -> str:
    return f"all:{unique}"


def api_url(server: Server) -> str:
    return f"{server.url}/api"


@pytest.fixture
def cent(server: Server) -> Iterator[Client]:
    client = Client(api_url(server), KEY, timeout=10)
    yield client
    client.close()


@pytest.fixture
def user(server: Server, cent: Client, channel: str) -> Iterator[ProtocolClient]:
    """A client of protocol v1, subscribed to the channel of the test, when those of other tests are gone."""
    eventually(lambda: cent.info(InfoRequest()).nodes[0].num_clients == 0, what="clients of other tests are gone")
    with ProtocolClient(server, user="42") as client:
        client.subscribe(channel)
        yield client


def test_cent_can_call_publish(cent: Client, user: ProtocolClient, channel: str) -> None:
    result = cent.publish(PublishRequest(channel=channel, data={"text": "Grüße"}, tags={"a": "b"}))
    assert result.offset == 1
    assert result.epoch
    assert user.message() == {"text": "Grüße"}
    assert cent.publish(PublishRequest(channel="news", data=1)).offset == 0


def test_publish_once_without_history_and_as_base64(cent: Client, user: ProtocolClient, channel: str) -> None:
    first, second = (
        cent.publish(PublishRequest(channel=channel, data=number, idempotency_key="key")) for number in (1, 2)
    )
    assert first == second
    assert cent.publish(PublishRequest(channel=channel, data=3, skip_history=True)).offset == 0
    encoded = base64.b64encode(b"[4]").decode()
    cent.publish(PublishRequest(channel=channel, data=None, b64data=encoded))
    assert [user.message() for _ in range(3)] == [1, 3, [4]]


def test_cent_can_call_broadcast(cent: Client, user: ProtocolClient, channel: str) -> None:
    result = cent.broadcast(BroadcastRequest(channels=[channel, "nosuch:1"], data=[1]))
    kept, unknown = result.responses
    assert kept.result is not None
    assert kept.result.offset == 1
    assert unknown.error is not None
    assert unknown.error.code == 102
    assert user.message() == [1]


def test_cent_can_call_history(cent: Client, channel: str) -> None:
    for number in range(1, 5):
        cent.publish(PublishRequest(channel=channel, data=number, tags={"n": str(number)}))
    top = cent.history(HistoryRequest(channel=channel))
    assert (top.offset, top.publications) == (4, [])
    newest = cent.history(HistoryRequest(channel=channel, limit=2, reverse=True))
    assert [(one.offset, one.data, one.tags) for one in newest.publications] == [(4, 4, {"n": "4"}), (3, 3, {"n": "3"})]
    since = StreamPosition(offset=3, epoch=top.epoch)
    later = cent.history(HistoryRequest(channel=channel, limit=-1, since=since))
    assert [one.data for one in later.publications] == [4]
    with pytest.raises(CentApiResponseError) as refused:
        cent.history(HistoryRequest(channel=channel, limit=-1, since=StreamPosition(offset=3, epoch="x")))
    assert refused.value.code == 112


def test_cent_can_call_history_remove(cent: Client, channel: str) -> None:
    cent.publish(PublishRequest(channel=channel, data=1))
    cent.history_remove(HistoryRemoveRequest(channel=channel))
    assert cent.history(HistoryRequest(channel=channel, limit=-1)).publications == []


def test_cent_can_call_presence(cent: Client, user: ProtocolClient, channel: str) -> None:
    (info,) = cent.presence(PresenceRequest(channel=channel)).presence.values()
    assert (info.user, info.client) == ("42", user.id)
    stats = cent.presence_stats(PresenceStatsRequest(channel=channel))
    assert (stats.num_clients, stats.num_users) == (1, 1)


def test_cent_can_call_unsubscribe(cent: Client, user: ProtocolClient, channel: str) -> None:
    cent.unsubscribe(UnsubscribeRequest(user="42", channel=channel))
    assert user.push() == {"method": "unsubscribe", "body": {"channel": channel, "status": True}}


def test_cent_can_call_disconnect(cent: Client, user: ProtocolClient) -> None:
    cent.disconnect(DisconnectRequest(user="42", whitelist=[user.id]))
    reason = Disconnect(code=4000, reason="maintenance")
    cent.disconnect(DisconnectRequest(user="42", client=user.id, disconnect=reason))
    assert user.wait_closed().advice == {"reason": "maintenance", "reconnect": True}


def test_cent_can_subscribe_and_refresh_users_without_connections(cent: Client, channel: str) -> None:
    request = SubscribeRequest(user="nobody", channel=channel, data={"why": "you"})
    assert cent.subscribe(request) == SubscribeResult()
    assert cent.refresh(RefreshRequest(user="nobody", expired=True)) == RefreshResult()
    assert cent.presence(PresenceRequest(channel=channel)).presence == {}


def test_cent_can_call_channels_and_info(cent: Client, user: ProtocolClient, channel: str) -> None:
    channels = cent.channels(ChannelsRequest(pattern="all:*")).channels
    assert {name: info.num_clients for name, info in channels.items()} == {channel: 1}
    assert cent.channels(ChannelsRequest(pattern="x*")).channels == {}
    (node,) = cent.info(InfoRequest()).nodes
    assert (node.num_clients, node.num_users, node.num_subs, node.num_channels) == (1, 1, 1, 1)
    assert node.version
    assert user.id


@pytest.mark.parametrize("parallel", [False, True])
def test_cent_can_call_batch(cent: Client, parallel: bool, channel: str) -> None:
    requests = [PublishRequest(channel=channel, data=number) for number in range(3)]
    result = cent.batch(BatchRequest(requests=[*requests, HistoryRequest(channel=channel)], parallel=parallel))
    assert [reply.model_dump()["offset"] for reply in result.replies[:3]] == [1, 2, 3]
    assert len(result.replies) == 4


def test_cent_raises_errors_of_the_api(cent: Client, server: Server) -> None:
    with pytest.raises(CentApiResponseError) as refused:
        cent.publish(PublishRequest(channel="nosuch:1", data=1))
    assert (refused.value.code, refused.value.message) == (102, "unknown channel")
    with pytest.raises(CentUnauthorizedError):
        Client(api_url(server), "wrong").info(InfoRequest())


def test_asynchronous_client_of_cent_works(server: Server, channel: str) -> None:
    async def publish_and_read() -> int:
        client = AsyncClient(api_url(server), KEY)
        try:
            await asyncio.gather(*(client.publish(PublishRequest(channel=channel, data=number)) for number in range(3)))
            return (await client.history(HistoryRequest(channel=channel))).offset
        finally:
            await client.close()

    assert asyncio.run(publish_and_read()) == 3
