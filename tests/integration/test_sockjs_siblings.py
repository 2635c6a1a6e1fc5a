"""Two nodes on one machine with separate ports, so that a test knows which node holds a session."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.api_client import APIClient
from tests.redis_server import RedisServer, redis_server
from tests.servers import Server, running
from tests.sockjs_client import Connection, Session
from tests.sockjs_protocol_client import SockJSProtocolClient
from tests.waiting import eventually, seconds

pytestmark = pytest.mark.timeout(seconds(60))


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def nodes(tmp_path: Path, redis: RedisServer) -> Iterator[tuple[Server, Server]]:
    """The node that holds the sessions of a test, and the node that receives requests for them."""
    with ExitStack() as stack:
        servers = []
        for name in ("holder", "other"):
            (tmp_path / name).mkdir()
            servers.append(stack.enter_context(running(redis.options, tmp_path / name)))
        yield servers[0], servers[1]


def subscribed(holder: Server) -> SockJSProtocolClient:
    client = SockJSProtocolClient(holder.host, holder.port, "ann")
    client.subscribe("news")
    return client


def moved(client: SockJSProtocolClient, other: Server) -> Session:
    """Return the session with another node as the target of its requests."""
    client.service.host, client.service.port = other.host, other.port
    return client.session


def open_files(server: Server) -> int:
    return len(os.listdir(f"/proc/{server.pid}/fd"))


def settled(server: Server) -> int:
    """The number of open files of an idle server; repeated until it does not change."""
    time.sleep(0.5)
    most = 0
    for _ in range(50):
        most = max(most, open_files(server))
        time.sleep(0.01)
    return most


def kinds(server: Server) -> dict[str, int]:
    """The open files by kind, for the error message."""
    directory = Path(f"/proc/{server.pid}/fd")
    return dict(Counter(os.readlink(file).partition(":")[0] for file in directory.iterdir() if os.path.lexists(file)))


def test_no_descriptors_stay_open_after_many_passed_requests(nodes: tuple[Server, Server]) -> None:
    holder, other = nodes
    with subscribed(holder) as client:
        moved(client, other)
        assert client.call("ping")["method"] == "ping"
        before = settled(holder), settled(other)
        for _ in range(100):
            assert client.call("ping")["method"] == "ping"
        eventually(
            lambda: open_files(holder) <= before[0] and open_files(other) <= before[1],
            within=10,
            what=lambda: f"as few files as before, {before}: {kinds(holder)}, {kinds(other)}",
        )


def test_pipelined_requests_are_served_by_the_right_processes(nodes: tuple[Server, Server]) -> None:
    holder, other = nodes
    ping = b'["{\\"method\\":\\"ping\\"}"]'
    with subscribed(holder) as here, subscribed(other) as there, Connection(other.host, other.port) as connection:
        for client in (here, there, here, there):
            connection.send("POST", f"/connection{client.session.url}/xhr_send", body=ping)
        assert [connection.answer().status for _ in range(4)] == [204] * 4
        for client in (here, there):
            assert [client.receive()["method"] for _ in range(2)] == ["ping", "ping"]


def test_poll_of_a_killed_process_ends_and_the_client_reconnects(nodes: tuple[Server, Server]) -> None:
    holder, other = nodes
    with subscribed(holder) as client:
        session = moved(client, other)
        poll = session.start_poll()
        holder.kill()
        assert poll.has_ended()
        assert session.send("{}").status == 404
        assert session.poll() == "o"
        assert session.send().status == 204


def test_frozen_process_loses_no_messages(nodes: tuple[Server, Server]) -> None:
    holder, other = nodes
    with subscribed(holder) as client:
        session = moved(client, other)
        holder.process.send_signal(signal.SIGSTOP)
        poll = session.start_poll()
        assert poll.is_quiet()
        APIClient(other.host, other.port).publish("news", "meanwhile")
        assert session.service.session().poll() == "o", "the other serves whom it can"
        holder.process.send_signal(signal.SIGCONT)
        assert b"meanwhile" in poll.answer().body


def test_stopping_process_closes_clients_passed_by_another_process(nodes: tuple[Server, Server]) -> None:
    holder, other = nodes
    with subscribed(holder) as client:
        session = moved(client, other)
        poll = session.start_poll()
        holder.stop()
        assert b"shutting down" in poll.answer().body
        assert session.poll() == "o"
