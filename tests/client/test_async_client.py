"""The client for asyncio with a real server: the same methods, batches, retries and errors."""

from __future__ import annotations

import asyncio
import inspect

import httpx
import pytest

from gentrifugo import APIError, AsyncClient, Client, ClientError, StatusError, TransportError
from gentrifugo.client import commands, commands_v1
from gentrifugo.client.async_client import AsyncClientV1
from gentrifugo.client.client import ClientV1
from tests.client.flaky_server import LOST, flaky
from tests.credentials import API_KEY, SECRET
from tests.protocol_client_v2 import ProtocolClientV2
from tests.servers import Server
from tests.waiting import seconds


@pytest.mark.parametrize(("client", "blocking"), [(AsyncClient, Client), (AsyncClientV1, ClientV1)])
def test_methods_have_the_parameters_of_the_blocking_client(client: type, blocking: type) -> None:
    names = [name for name in vars(blocking) if not name.startswith("_")]
    for name in names:
        method = getattr(client, name)
        assert inspect.iscoroutinefunction(method), name
        assert inspect.signature(method) == inspect.signature(getattr(blocking, name))


def test_methods_of_both_apis_return_results(server: Server, channel: str) -> None:
    async def talk() -> None:
        async with AsyncClient(server.url, api_key=API_KEY, secret=SECRET, timeout=seconds(5)) as client:
            first = await client.publish(channel, {"n": 1})
            await client.v1.publish(channel, {"n": 2})
            history = await client.history(channel, limit=-1)
            assert [one.data for one in history.publications] == [{"n": 1}, {"n": 2}]
            assert first.epoch == history.epoch
            assert [one.data for one in await client.v1.history(channel)] == [{"n": 2}, {"n": 1}]
            assert (await client.presence_stats(channel)).num_clients == 0
            with pytest.raises(APIError, match="unknown channel"):
                await client.publish("unknown:news", 1)
            with pytest.raises(APIError, match="namespace not found"):
                await client.v1.publish("unknown:news", 1)

    asyncio.run(talk())


def test_batches_of_both_apis_return_results(server: Server, channel: str) -> None:
    async def talk() -> None:
        async with AsyncClient(server.url, api_key=API_KEY, secret=SECRET) as client:
            published, refused = await client.batch([commands.publish(channel, 1), commands.publish("unknown:a", 1)])
            assert not isinstance(published, APIError)
            assert (published.offset, isinstance(refused, APIError)) == (1, True)
            (messages,) = await client.v1.batch([commands_v1.history(channel)])
            assert not isinstance(messages, APIError)
            assert [message.data for message in messages] == [1]
            assert (await client.batch([]), await client.v1.batch([])) == ([], [])

    asyncio.run(talk())


def test_batches_are_checked_before_they_are_sent(server: Server, channel: str) -> None:
    async def talk() -> None:
        async with AsyncClient(server.url, api_key=API_KEY, secret=SECRET) as client:
            results = await client.batch(commands.publish(channel, number) for number in range(2))
            assert not any(isinstance(result, APIError) for result in results)
            assert await client.v1.batch(commands_v1.publish(channel, 1) for _ in range(1)) == [None]
            for wrong in (None, [1], [commands_v1.publish(channel, 1)]):
                with pytest.raises(ValueError, match=r"^commands.*expected .* of gentrifugo\.client\.commands, not "):
                    await client.batch(wrong)  # type: ignore[arg-type]
            with pytest.raises(
                ValueError, match=r"^commands\[0\]: expected .* of gentrifugo\.client\.commands_v1, not publ"
            ):
                await client.v1.batch([commands.publish(channel, 1)])
            assert (await client.history(channel, limit=0)).offset == 3

    asyncio.run(talk())


def test_an_http_client_without_asyncio_is_refused() -> None:
    with httpx.Client() as http, pytest.raises(ValueError, match=r"^http: expected an httpx\.AsyncClient, not Client$"):
        AsyncClient("http://localhost", api_key="key", http=http)  # type: ignore[arg-type]


def test_connections_of_a_user_are_closed(server: Server) -> None:
    async def close() -> None:
        async with AsyncClient(server.url, api_key=API_KEY) as client:
            await client.disconnect("async-user")

    with ProtocolClientV2(server, "async-user") as user:
        asyncio.run(close())
        assert user.wait_closed().code == 3503


def test_requests_run_side_by_side_and_share_connections(server: Server) -> None:
    async def talk(url: str) -> int:
        async with AsyncClient(url, api_key=API_KEY) as client:
            return len(await asyncio.gather(*(client.info() for _ in range(20))))

    with flaky(server.url) as between:
        assert asyncio.run(talk(between.url)) == 20
        assert between.connections <= 20


def test_a_lost_publication_is_sent_again_and_published_once(server: Server, channel: str) -> None:
    async def talk(url: str) -> int:
        async with AsyncClient(url, api_key=API_KEY) as client:
            await client.publish(channel, 1)
            return (await client.history(channel, limit=0)).offset

    with flaky(server.url, LOST) as between:
        assert asyncio.run(talk(between.url)) == 1
        assert len(between.bodies) == 3


def test_failures_have_the_exceptions_of_the_blocking_client(server: Server) -> None:
    async def talk(url: str) -> None:
        async with AsyncClient(url, api_key="a wrong key", retries=0) as client:
            with pytest.raises(TransportError, match="may have received"):
                await client.info()
            with pytest.raises(StatusError, match="status 401"):
                await client.info()
            assert repr(client) == f"<AsyncClient of {url}/api>"

    with flaky(server.url, LOST) as between:
        asyncio.run(talk(between.url))


def test_https_for_a_port_without_tls_is_named_as_the_mistake(server: Server) -> None:
    async def talk() -> None:
        async with AsyncClient(f"https://{server.host}:{server.port}", api_key=API_KEY, retries=0) as client:
            with pytest.raises(TransportError, match=r"; check that this port of the server has TLS, otherwise"):
                await client.info()

    asyncio.run(talk())


def test_a_closed_client_cannot_be_used(server: Server) -> None:
    async def talk() -> None:
        async with AsyncClient(server.url, api_key=API_KEY) as client:
            await client.close()
            with pytest.raises(ClientError, match=r"^the client is closed"):
                await client.info()

    asyncio.run(talk())


def test_an_own_client_of_httpx_stays_open(server: Server) -> None:
    async def talk() -> bool:
        async with httpx.AsyncClient(timeout=seconds(5)) as http:
            async with AsyncClient(server.url, api_key=API_KEY, http=http) as client:
                await client.info()
            return http.is_closed

    assert asyncio.run(talk()) is False
