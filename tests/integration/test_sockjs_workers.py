"""SockJS with several workers and the Redis engine, under gunicorn and the command; any worker may get a request."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gentrifugo.app.config.loading import from_mapping
from gentrifugo.app.service import Service
from tests.api_client import APIClient
from tests.clients.driver import node_driver
from tests.credentials import connect_params
from tests.gunicorn_server import GENTRIFUGO_WORKER, KINDS_OF_WORKERS, Gunicorn, gunicorn, several_workers
from tests.parts import node_package
from tests.protocol_client import ProtocolClient
from tests.redis_server import RedisServer, redis_server
from tests.servers import Server
from tests.sockjs_client import Connection
from tests.sockjs_protocol_client import SockJSProtocolClient
from tests.waiting import eventually, seconds

WORKERS = 3
CLIENTS = 50
MESSAGES = 1000
BATCH = 20
"""Messages in one API request: the clients of a test share its process, and keep each other waiting."""
OPTIONS: dict[str, Any] = {
    "node_ping_interval": 0.3,
    "namespaces": [{"name": "live", "presence": True, "join_leave": True, "publish": True}],
}
INTERRUPTED = 'c[1002,"Connection interrupted"]'

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
    assert not meeting_place(options).exists(), "nothing is left behind"


def meeting_place(options: dict[str, Any]) -> Path:
    directory = Service(from_mapping({"secret": "secret", **options}).config).session_directory
    assert directory is not None
    return directory.path


def knows_all(server: Gunicorn | Server) -> bool:
    with suppress(OSError):
        return len(nodes(APIClient(server.host, server.port))) == WORKERS
    return False


def nodes(api: APIClient) -> list[dict[str, Any]]:
    return list(api.call("stats")["body"]["data"]["nodes"])


def publish_all(api: APIClient, channel: str, numbers: range) -> None:
    commands = [{"method": "publish", "params": {"channel": channel, "data": number}} for number in numbers]
    answers = api.post(json.dumps(commands)).json()
    assert [answer.get("error") for answer in answers] == [None] * len(commands)


def poller(server: Gunicorn | Server, user: str = "ann") -> SockJSProtocolClient:
    return SockJSProtocolClient(server.host, server.port, user)


def streamed(client: SockJSProtocolClient, count: int) -> list[Any]:
    """The messages of a stream, and of the polls after it."""
    found: list[Any] = []
    while len(found) < count:
        stream = client.session.stream()
        while len(found) < count and (frame := stream.frame()):
            assert frame[0] == "a", frame
            found += [json.loads(message)["body"]["data"] for message in json.loads(frame[1:])]
        stream.close()
    return found


def polled(client: SockJSProtocolClient, count: int) -> list[Any]:
    return [client.receive()["body"]["data"] for _ in range(count)]


@pytest.mark.parametrize("receive", [polled, streamed], ids=["xhr-polling", "xhr-streaming"])
def test_every_client_receives_every_message_once_and_in_order(server: Gunicorn | Server, receive: Any) -> None:
    """Each request uses a new connection, and so reaches any of the workers."""
    api = APIClient(server.host, server.port)
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = list(pool.map(lambda number: poller(server, f"user{number}"), range(CLIENTS)))
        for _ in pool.map(lambda client: client.subscribe("news"), clients):
            pass
        received = [pool.submit(receive, client, MESSAGES) for client in clients]
        for first in range(0, MESSAGES, BATCH):
            publish_all(api, "news", range(first, first + BATCH))
        for numbers in received:
            assert numbers.result(timeout=seconds(60)) == list(range(MESSAGES))


def test_messages_of_clients_reach_their_session_in_order(server: Gunicorn | Server) -> None:
    with poller(server) as client, ProtocolClient(server, "bob") as watcher:
        client.subscribe("live:a")
        watcher.subscribe("live:a")
        for number in range(50):
            client.send("publish", channel="live:a", data=number)
        received: list[Any] = []
        while len(received) < 50:
            push = watcher.push()
            received += [push["body"]["data"]] if push["method"] == "message" else []
        assert received == list(range(50))


def test_an_aborted_poll_ends_the_session_at_once(server: Gunicorn | Server) -> None:
    # In a channel of its own: sessions of other tests end when nobody has polled for a while.
    with ProtocolClient(server, "watcher") as watcher:
        watcher.subscribe("live:aborted")
        assert watcher.push()["method"] == "join"
        for _ in range(6):  # some of them at the worker that holds the session, some at another
            with poller(server) as client:
                client.subscribe("live:aborted")
                assert watcher.push()["method"] == "join"
                poll = client.start_poll()
                began = time.monotonic()
                poll.close()
                left = watcher.push(timeout=2)
                assert (left["method"], left["body"]["data"]["client"]) == ("leave", client.id)
                assert time.monotonic() - began < seconds(1)
                assert client.session.poll() == INTERRUPTED


def test_a_connection_that_is_kept_serves_any_session(server: Gunicorn | Server) -> None:
    """Proxies keep such connections: the next request may belong to another client and to another worker."""
    clients = [poller(server) for _ in range(12)]
    for client in clients:
        client.subscribe("news")
    with Connection(server.host, server.port) as connection:
        for client in clients:
            connection.send("POST", f"/connection{client.session.url}/xhr_send", body=b'["{\\"method\\":\\"ping\\"}"]')
            assert connection.answer().status == 204
            assert client.receive()["method"] == "ping"


def test_a_body_that_is_too_large_closes_the_session_wherever_it_arrives(server: Gunicorn | Server) -> None:
    for _ in range(6):
        with poller(server) as client:
            assert client.session.send("x" * 200_000).status == 413
            assert "limit exceeded" in client.session.poll()


def test_chunked_body_is_passed_to_the_worker_with_the_session(server: Gunicorn | Server) -> None:
    with poller(server) as client:
        for _ in range(6):
            with Connection(server.host, server.port) as connection:
                lines = [f"POST /connection{client.session.url}/xhr_send HTTP/1.1", "Host: localhost"]
                head = "\r\n".join([*lines, "Transfer-Encoding: chunked", "", ""])
                connection.sock.sendall(head.encode())
                time.sleep(0.02)
                connection.sock.sendall(b'a\r\n["{\\"metho\r\n')
                connection.sock.sendall(b'f\r\nd\\":\\"ping\\"}"]\r\n0\r\n\r\n')
                assert connection.answer().status == 204
            assert client.receive()["method"] == "ping"


def test_unknown_session_is_answered_by_any_worker(server: Gunicorn | Server) -> None:
    with poller(server) as client:
        other = client.service.session()
        assert [other.send("{}").status for _ in range(6)] == [404] * 6
        assert other.poll() == "o"
        assert [other.send().status for _ in range(6)] == [204] * 6


def test_sessions_continue_while_redis_is_unavailable(server: Gunicorn | Server, redis: RedisServer) -> None:
    with poller(server) as client:
        client.subscribe("news")
        redis.restart()
        for _ in range(10):
            assert client.call("ping")["method"] == "ping"
        api = APIClient(server.host, server.port)

        def published() -> bool:
            with suppress(AssertionError):
                api.publish("news", "back")
                return True
            return False

        eventually(published, within=5)
        assert client.receive()["body"]["data"] == "back"


def test_a_killed_worker_takes_only_its_own_sessions_along(server: Gunicorn | Server) -> None:
    api = APIClient(server.host, server.port)
    # The kernel prefers some workers; many clients, at once, make sure that all have sessions.
    with ThreadPoolExecutor(30) as pool:
        clients = list(pool.map(lambda number: poller(server, f"user{number}"), range(60)))
        for client in clients:
            client.subscribe("news")
        before = {node["uid"] for node in nodes(api)}
        pid = server.process.pid
        victim = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()[0]
        os.kill(int(victim), signal.SIGKILL)
        eventually(lambda: len({node["uid"] for node in nodes(api)} - before) > 0, within=10, what="a new worker")
        api.publish("news", "still here")
        frames = list(pool.map(lambda client: client.session.poll(), clients))
    survivors = [frame for frame in frames if "still here" in frame]
    assert 0 < len(survivors) <= len(clients)
    assert {frame for frame in frames if frame not in survivors} <= {"o"}, "the others begin anew, and are told so"


@pytest.mark.parametrize("transport", ["xhr-polling", "xhr-streaming", "eventsource"])
def test_sockjs_client_works_with_several_workers(tmp_path: Path, redis: RedisServer, transport: str) -> None:
    node_package("sockjs-client")
    with gunicorn(tmp_path, GENTRIFUGO_WORKER, WORKERS, **OPTIONS, **redis.options) as server:
        url = f"http://{server.host}:{server.port}/connection"
        arguments = json.dumps({"url": url, "transports": [transport], "retry": 50, **connect_params("42")})
        with node_driver("centrifuge_driver.js", arguments, package="centrifuge") as client:
            client.send(do="connect")
            assert client.wait_for("connect")["transport"] == transport
            client.send(do="subscribe", channel="live:a")
            client.wait_for("subscribe")
            client.send(do="publish", channel="live:a", data="mine")
            assert client.wait_for("message")["data"] == "mine"
            api = APIClient(server.host, server.port)
            for first in range(0, MESSAGES, BATCH):
                publish_all(api, "live:a", range(first, first + BATCH))
            assert [client.wait_for("message")["data"] for _ in range(MESSAGES)] == list(range(MESSAGES))
            client.send(do="disconnect")
