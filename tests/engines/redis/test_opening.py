"""A connection is opened over TCP and TLS and logged in, or fails with a reason, and leaves no socket behind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import gevent.server
import pytest

from gentrifugo.engines.redis.connection import ConnectionLost
from gentrifugo.engines.redis.opening import open_connection
from gentrifugo.engines.redis.settings import ServerAddress, ShardSettings, Timeouts, Tls
from tests.greenlets import eventually, nothing_left_behind
from tests.redis_server import RedisServer, free_port, redis_server

__all__ = ["nothing_left_behind"]

TIMEOUTS = Timeouts(connect=0.5, read=5, write=1)

tidy = pytest.mark.usefixtures("nothing_left_behind")
"""For all but one: gevent's resolver reports a name without an address as the error of a greenlet, too."""


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    users = ["--requirepass", "open sesame", "--user", "ann", "on", ">secret", "~*", "&*", "+@all"]
    with redis_server(tmp_path_factory.mktemp("redis"), *users) as server:
        yield server


def serve(handle: Callable[[Any], None]) -> gevent.server.StreamServer:
    """A server on a free port that calls `handle` with the socket of each connection."""
    server = gevent.server.StreamServer(("127.0.0.1", 0), lambda socket, _: handle(socket))
    server.start()
    return server


def address_of(server: gevent.server.StreamServer) -> ServerAddress:
    return ServerAddress("127.0.0.1", int(server.address[1]))


def say_nothing(socket: Any) -> None:
    while socket.recv(1000):
        pass


def reason(address: ServerAddress, shard: ShardSettings | None = None) -> str:
    with pytest.raises(ConnectionLost) as lost:
        open_connection(address, TIMEOUTS, shard)
    return str(lost.value)


@tidy
@pytest.mark.parametrize(
    ("login", "user", "database"),
    [({"password": "open sesame", "db": 3}, "default", "3"), ({"username": "ann", "password": "secret"}, "ann", "0")],
)
def test_a_connection_has_its_user_its_database_and_a_name(
    redis: RedisServer, login: dict[str, Any], user: str, database: str
) -> None:
    address = ServerAddress("127.0.0.1", redis.port)
    connection = open_connection(address, TIMEOUTS, ShardSettings(address, **login))
    (info,) = connection.ask([("CLIENT", "INFO")])
    connection.close()
    fields = dict(field.split("=", 1) for field in info.decode().split())
    assert (fields["name"], fields["user"], fields["db"]) == ("gentrifugo", user, database)


@tidy
@pytest.mark.parametrize(
    ("login", "says"),
    [
        ({"username": "ann", "password": "guess"}, "invalid username-password pair"),
        ({"password": "guess"}, "invalid username-password pair"),
        ({}, "Authentication required"),
        ({"password": "open sesame", "db": 99}, "DB index is out of range"),
    ],
)
def test_refused_login_is_reported_with_the_reason(redis: RedisServer, login: dict[str, Any], says: str) -> None:
    address = ServerAddress("127.0.0.1", redis.port)
    text = reason(address, ShardSettings(address, **login))
    assert says in text
    assert "guess" not in text


@tidy
def test_port_without_listener_is_an_error() -> None:
    assert reason(ServerAddress("127.0.0.1", free_port())) == "cannot connect: Connection refused"


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a" * 64 + ".example", ".."])
def test_a_host_that_has_no_address_is_an_error(host: str) -> None:
    assert reason(ServerAddress(host, 6379)).startswith("cannot connect: ")


@tidy
def test_silent_server_ends_with_a_timeout() -> None:
    server = serve(say_nothing)
    assert reason(address_of(server)) == "read timeout after 0.5 s"
    server.stop(timeout=0)


@tidy
def test_a_server_that_is_not_redis_is_refused() -> None:
    def greet(socket: Any) -> None:
        socket.sendall(b"220 mail.example ESMTP\r\n")
        socket.recv(1000)
        socket.close()

    server = serve(greet)
    assert "does not speak the Redis protocol" in reason(address_of(server))
    server.stop(timeout=0)


@tidy
def test_a_server_without_tls_cannot_be_reached_with_it(redis: RedisServer) -> None:
    address = ServerAddress("127.0.0.1", redis.port)
    assert reason(address, ShardSettings(address, tls=Tls(verify=False))).startswith("cannot connect: ")


@tidy
def test_a_tls_handshake_ends_at_the_timeout() -> None:
    server = serve(say_nothing)
    address = address_of(server)
    assert "timed out" in reason(address, ShardSettings(address, tls=Tls(verify=False)))
    server.stop(timeout=0)


@tidy
def test_a_greenlet_that_is_killed_while_it_connects_leaves_no_socket() -> None:
    steps: list[str] = []

    def note_end(socket: Any) -> None:
        steps.append("connected")
        say_nothing(socket)
        steps.append("closed")

    server = serve(note_end)
    opening = gevent.spawn(lambda: open_connection(address_of(server), TIMEOUTS))
    eventually(lambda: steps == ["connected"])
    opening.kill()
    eventually(lambda: steps == ["connected", "closed"])
    server.stop(timeout=0)


def test_the_redis_engine_does_not_import_redis_py(tmp_path: Path) -> None:
    program = "import sys, gentrifugo.engines.redis.engine; sys.exit('redis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=tmp_path).returncode == 0
