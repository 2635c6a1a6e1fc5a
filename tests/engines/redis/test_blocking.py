"""Redis for programs that are not nodes: batches, TLS, and unsuitable servers."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from gentrifugo.app.model.events import Publication, StreamPosition
from gentrifugo.engines.base import HistoryOptions, PublishItem
from gentrifugo.engines.redis.blocking import BlockingRedis, _connection_initializer, client_of
from gentrifugo.engines.redis.settings import RedisSettings, ServerAddress, ShardSettings, Timeouts, Tls
from tests.redis_server import RedisServer, redis_server

STORED = HistoryOptions(10, 60, False)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as made:
        yield made


@pytest.fixture
def blocking(server: RedisServer) -> Iterator[BlockingRedis]:
    made = BlockingRedis(RedisSettings((ShardSettings(ServerAddress("127.0.0.1", server.port)),), prefix="test"))
    yield made
    made.close()


def message(channel: str) -> Publication:
    return Publication("1", channel, b"{}")


def test_a_batch_has_an_outcome_for_each_also_when_redis_has_forgotten_the_scripts(
    server: RedisServer, blocking: BlockingRedis
) -> None:
    batch: list[PublishItem] = [
        (message("kept"), STORED, None),
        (message("broken"), STORED, None),
        (message("plain"), None, None),
    ]
    first, broken, plain = blocking.publish_all(batch)
    assert isinstance(first, StreamPosition)
    assert isinstance(broken, StreamPosition)
    assert (first.offset, broken.offset, plain) == (1, 1, None)
    server.ask("SET", "test.stream.broken", "not a list")
    for offset in (2, 3):
        kept, broken, plain = blocking.publish_all(batch)
        assert (kept, plain) == (first._replace(offset=offset), None)
        assert "WRONGTYPE" in str(broken)
        server.ask("SCRIPT", "FLUSH")
    assert len(blocking.history("kept")) == 3


@pytest.mark.parametrize(
    ("tls", "expected"),
    [
        (Tls(), (ssl.CERT_REQUIRED, True, None)),
        (Tls(ca_file="ca.pem"), (ssl.CERT_REQUIRED, True, "ca.pem")),
        (Tls(verify=False), (ssl.CERT_NONE, False, None)),
    ],
)
def test_a_client_checks_certificates_as_the_settings_say(tls: Tls, expected: tuple[Any, ...]) -> None:
    with client_of(ShardSettings(ServerAddress("127.0.0.1", 1), tls=tls), Timeouts()) as client:
        pool = client.connection_pool
        assert issubclass(pool.connection_class, redis.SSLConnection)
        options = pool.connection_kwargs
        assert tuple(options[f"ssl_{name}"] for name in ("cert_reqs", "check_hostname", "ca_certs")) == expected


class ServerWithoutRunId:
    """A connection of redis-py to a server whose INFO is empty."""

    def on_connect(self) -> None:
        pass

    def send_command(self, *command: Any) -> None:
        pass

    def read_response(self) -> bytes:
        return b"# Server"


def test_a_server_without_a_run_id_is_not_used() -> None:
    with pytest.raises(redis.ConnectionError, match="the reply to INFO has no run_id"):
        _connection_initializer("epoch")(ServerWithoutRunId())
