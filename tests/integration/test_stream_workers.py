"""Streams over several workers, where each request reaches any of them, and in a Flask site that carries the server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.gunicorn_server import (
    GENTRIFUGO_WORKER,
    KINDS_OF_WORKERS,
    SETTINGS,
    STOCK_WORKER,
    Gunicorn,
    several_workers,
)
from tests.integration.test_flask import PROGRAM
from tests.integration.test_flask import running as running_site
from tests.integration.test_streams import API_KEY, OPTIONS, api, connect
from tests.redis_server import RedisServer, redis_server
from tests.servers import Server
from tests.stream_client import StreamClient, request
from tests.waiting import seconds

WORKERS = 3
CLIENTS = 12
SITE = "streaming_site:create_app"
GUNICORN = [sys.executable, "-m", "gunicorn", "--config", str(SETTINGS), "--bind=127.0.0.1:0", "--no-control-socket"]

pytestmark = pytest.mark.timeout(seconds(90))


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module", params=KINDS_OF_WORKERS.values(), ids=list(KINDS_OF_WORKERS))
def server(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisServer, request: pytest.FixtureRequest
) -> Iterator[Gunicorn | Server]:
    options = {**OPTIONS, **redis.options}
    with several_workers(tmp_path_factory.mktemp("workers"), request.param, WORKERS, knows_all, **options) as started:
        yield started


def knows_all(server: Gunicorn | Server) -> bool:
    with suppress(OSError):
        return request(server.port, "POST", "/api/info", {}, X_API_Key=API_KEY)[2].count('"uid"') == WORKERS
    return False


def test_commands_reach_the_worker_that_has_the_stream(server: Any) -> None:
    with ExitStack() as closing:
        clients = [
            closing.enter_context(StreamClient(server.port, f"/connection/{path}", connect(), get=path == "sse"))
            for path in ("http_stream", "sse") * (CLIENTS // 2)
        ]
        for client in clients:
            assert client.next()["connect"]
            assert client.post({"id": 2, "subscribe": {"channel": "news"}}) == 204
            assert client.next() == {"id": 2, "subscribe": {}}
        for number in range(3, 13):
            for client in clients:
                assert client.post({"id": number, "unsubscribe": {"channel": "other"}}) == 204
        for client in clients:
            assert [client.next()["id"] for _ in range(3, 13)] == list(range(3, 13))
        for number in range(10):
            api(server.port, "publish", channel="news", data=number)
        for client in clients:
            assert [client.next()["push"]["pub"]["data"] for _ in range(10)] == list(range(10))


# -- in a Flask site


@pytest.fixture(scope="module", params=[1, 2], ids=["one worker", "two workers"])
def workers(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(
    scope="module", params=["", GENTRIFUGO_WORKER, STOCK_WORKER], ids=["command", "our worker", "stock worker"]
)
def site_port(
    request: pytest.FixtureRequest, workers: int, redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    command = [PROGRAM, f"--app={SITE}", "--address=127.0.0.1", "--port=0"]
    if request.param:
        command = [*GUNICORN, f"--worker-class={request.param}", f"{SITE}()"]
    log = tmp_path_factory.mktemp("site") / "site.log"
    with pytest.MonkeyPatch.context() as environment:
        if workers > 1:
            environment.setenv("REDIS_URL", f"redis://{redis.address}")
            command += [f"--workers={workers}"]
        with running_site(command, Path(__file__).parent, log, status=None) as url:
            yield int(url.rpartition(":")[2])


def test_pages_of_a_site_listen_and_recover(site_port: int) -> None:
    cookie = request(site_port, "GET", "/")[1]["set-cookie"].partition(";")[0]
    headers = f"Cookie: {cookie}\r\nSec-Fetch-Site: same-origin\r\nAccept-Encoding: gzip\r\n"

    def listen(last: str = "") -> StreamClient:
        more = f"Last-Event-ID: {last}\r\n" if last else ""
        return StreamClient(site_port, "/connection/uni_sse", {}, get=True, headers=headers + more)

    with listen() as client:
        assert client.headers["content-encoding"] == "gzip"
        assert client.next()["connect"]["subs"]["news"]["recoverable"] is True
        tell(site_port, "first")
        assert client.next()["pub"]["data"] == "first"
    tell(site_port, "meanwhile")
    with listen(client.last_event_id) as client:
        assert client.next()["connect"]["subs"]["news"]["recovered"] is True
        assert client.next()["pub"]["data"] == "meanwhile"


def tell(port: int, text: str) -> None:
    assert request(port, "POST", f"/tell/{text}", b"")[0] == 200


def test_clients_of_a_site_send_beside_their_streams(site_port: int) -> None:
    cookie = request(site_port, "GET", "/")[1]["set-cookie"].partition(";")[0]
    first = {"id": 1, "connect": {}}
    for path in ("http_stream", "sse"):
        with StreamClient(site_port, f"/connection/{path}", first, headers=f"Cookie: {cookie}\r\n") as client:
            assert client.next()["connect"]["subs"]["news"]
            for number in range(2, 12):
                assert client.post({"id": number, "unsubscribe": {"channel": "other"}}) == 204
            assert [client.next()["id"] for _ in range(2, 12)] == list(range(2, 12))
