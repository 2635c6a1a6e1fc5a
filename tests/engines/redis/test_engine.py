"""The Redis engine passes the contract tests: with one shard, with two, and on Valkey."""

from __future__ import annotations

import dataclasses
import socket
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import gevent
import msgspec
import pytest

from gentrifugo.app.model.events import StreamPosition
from gentrifugo.engines.base import ALL, EngineError, HistoryFilter, PublishItem, Recovery
from gentrifugo.engines.redis import codec, occupancy
from gentrifugo.engines.redis.blocking import BlockingRedis
from gentrifugo.engines.redis.engine import RedisEngine
from gentrifugo.engines.redis.keys import Keys
from gentrifugo.engines.redis.settings import RedisSettings, ServerAddress, ShardSettings, Timeouts, Tls
from tests.engines.contract import (
    ALICE,
    LONG,
    EngineContract,
    JoinedEnginesContract,
    Lab,
    kept,
    message,
    uids,
    unplaced,
)
from tests.greenlets import eventually, nothing_left_behind
from tests.parts import valkey_server
from tests.redis_server import RedisServer, free_port, redis_server
from tests.waiting import seconds

__all__ = ["nothing_left_behind"]


class RedisLab(Lab):
    """Engines with a separate prefix on servers that many tests share."""

    def __init__(self, servers: list[RedisServer]) -> None:
        super().__init__()
        shards = tuple(ShardSettings(ServerAddress("127.0.0.1", server.port)) for server in servers)
        self.settings = RedisSettings(shards, prefix=f"test-{uuid.uuid4()}[*]")

    def make(self) -> RedisEngine:
        return RedisEngine(self.settings)

    def pass_time(self, seconds: float) -> None:
        gevent.sleep(seconds + 0.01)

    def hurry(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(occupancy, "LEASE_MARGIN", 0.1)
        patch.setattr(occupancy, "SWEEP_INTERVAL", 0.1)
        patch.setattr(occupancy, "MIN_EMPTY_TIME", 0.3)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisServer]]:
    directory = tmp_path_factory.mktemp("redis")
    with redis_server(directory) as first, redis_server(directory) as second:
        yield [first, second]


class OneShard:
    @pytest.fixture
    def lab(self, servers: list[RedisServer]) -> Lab:
        return RedisLab(servers[:1])


class TwoShards:
    @pytest.fixture
    def lab(self, servers: list[RedisServer]) -> Lab:
        return RedisLab(servers)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("valkey"), executable=valkey_server()) as server:
        yield server


class OnValkey:
    @pytest.fixture
    def lab(self, valkey: RedisServer) -> Lab:
        return RedisLab([valkey])


class TestRedisEngine(OneShard, EngineContract):
    pass


class TestJoinedRedisEngines(OneShard, JoinedEnginesContract):
    pass


class TestRedisEngineOfTwoShards(TwoShards, EngineContract):
    pass


class TestJoinedRedisEnginesOfTwoShards(TwoShards, JoinedEnginesContract):
    pass


class TestRedisEngineOnValkey(OnValkey, EngineContract):
    pass


class TestJoinedRedisEnginesOnValkey(OnValkey, JoinedEnginesContract):
    pass


# -- what only this engine does


@pytest.fixture
def lab(servers: list[RedisServer], nothing_left_behind: None) -> Iterator[RedisLab]:
    made = RedisLab(servers[:1])
    yield made
    made.close()


def test_an_unknown_version_is_skipped_with_one_warning(
    lab: RedisLab, servers: list[RedisServer], caplog: pytest.LogCaptureFixture
) -> None:
    listener = lab.listen()
    listener.engine.subscribe("news")
    name = f"{lab.settings.prefix}.channel.news"
    for data in (msgspec.msgpack.encode([2, "other"]), msgspec.msgpack.encode([2, "again"]), b"\xc1 garbage"):
        servers[0].ask("PUBLISH", name, data)
    listener.engine.publish(message(), None)
    listener.expect_events(message())
    warnings = [record.getMessage() for record in caplog.records if "skipping" in record.getMessage()]
    assert len(warnings) == 2
    assert "format version 2 is not supported, this release supports version 1" in warnings[0]


@pytest.mark.usefixtures("nothing_left_behind")
def test_names_that_are_not_utf_8_are_skipped(
    lab: RedisLab, servers: list[RedisServer], caplog: pytest.LogCaptureFixture
) -> None:
    """Any program can subscribe to names below the prefix, and write into a presence."""
    engine, outside = lab.listen().engine, BlockingRedis(lab.settings)
    keys = Keys(lab.settings.prefix)
    engine.subscribe("news")
    engine.add_presence("news", "c1", ALICE, 60)
    ends, info = keys.presence("news")
    servers[0].ask("ZADD", ends, 2**52, b"\xff")
    servers[0].ask("HSET", info, b"\xff", codec.encode_presence_entry(ALICE))
    name = keys.channel("") + b"\xff\xfe"
    with socket.create_connection(("127.0.0.1", servers[0].port), timeout=seconds(5)) as foreign:
        foreign.sendall(b"*2\r\n$9\r\nSUBSCRIBE\r\n$%d\r\n%s\r\n" % (len(name), name))
        assert foreign.recv(1)
        for _ in range(2):
            for asked in (engine, outside):
                assert (asked.channels(), asked.presence("news")) == (["news"], {"c1": ALICE})
    outside.close()
    warnings = [record.getMessage() for record in caplog.records if "not UTF-8" in record.getMessage()]
    assert len(warnings) == 3  # not one for each of the eight answers


def test_publications_beyond_an_unreadable_entry_are_not_recovered(lab: RedisLab, servers: list[RedisServer]) -> None:
    engine = lab.listen().engine
    for uid in ("1", "2"):
        engine.publish(message(uid), kept())
    servers[0].ask("LPUSH", f"{lab.settings.prefix}.stream.news", msgspec.msgpack.encode([2]))
    engine.publish(message("3"), kept())
    assert uids(engine) == ["3"]
    assert engine.recover("news", "3") == Recovery([], True)
    found = engine.recover("news", "2")
    assert (unplaced(found.publications), found.complete) == ([message("3")], False)
    top = engine.stream("news", HistoryFilter(), 60).top
    assert engine.recover_since("news", top, ALL, 60).recovered
    for offset in (0, 1):
        assert not engine.recover_since("news", top._replace(offset=offset), ALL, 60).recovered


def test_recovery_across_a_server_restart_is_never_complete(lab: RedisLab, servers: list[RedisServer]) -> None:
    """Another server has taken over with the data of the previous one, of which the newest may be missing."""
    engine = lab.listen().engine
    for uid in ("1", "2"):
        engine.publish(message(uid), kept())
    before = engine.stream("news", HistoryFilter(), LONG).top
    assert engine.recover("news", "1").complete
    servers[0].ask("HSET", f"{lab.settings.prefix}.epoch", "server", "another server")
    later = lab.listen().engine  # it finds that out when it connects
    recovery = later.recover("news", "2")
    assert (unplaced(recovery.publications), recovery.complete) == ([message("2"), message("1")], False)
    assert not later.recover_since("news", before, ALL, LONG).recovered
    position = later.publish(message("3"), kept())
    assert isinstance(position, StreamPosition)
    for node in (engine, later):
        assert node.recover("news", "3") == Recovery([], True)
        assert not node.recover("news", "2").complete
        assert uids(node) == ["3", "2", "1"]
        assert node.recover_since("news", StreamPosition(2, position.epoch), ALL, LONG).recovered
        assert not node.recover_since("news", StreamPosition(1, position.epoch), ALL, LONG).recovered
        assert not node.recover_since("news", before, ALL, LONG).recovered


def test_offsets_continue_on_another_server(lab: RedisLab, servers: list[RedisServer]) -> None:
    """So earlier publications can be looked up under their offsets."""
    engine = lab.listen().engine
    before = engine.publish(message("1"), kept(meta_lifetime=LONG))
    servers[0].ask("HSET", f"{lab.settings.prefix}.epoch", "server", "another server")
    after = lab.listen().engine.publish(message("2"), kept(meta_lifetime=LONG))
    assert isinstance(before, StreamPosition)
    assert isinstance(after, StreamPosition)
    assert (before.offset, after.offset) == (1, 2)
    assert before.epoch != after.epoch
    found = engine.stream("news", HistoryFilter(ALL), LONG)
    assert ([publication.offset for publication in found.publications], found.top) == ([1, 2], after)


def test_server_that_was_a_replica_meanwhile_gets_a_new_epoch(tmp_path: Path, nothing_left_behind: None) -> None:
    """Its last publications are lost, although it was never restarted."""
    with redis_server(tmp_path) as server, redis_server(tmp_path) as other:
        lab = RedisLab([server])
        try:
            engine = lab.listen().engine
            for uid in ("1", "2"):
                kept_position = engine.publish(message(uid), kept())
            other.ask("REPLICAOF", "127.0.0.1", str(server.port))
            eventually(lambda: b"master_link_status:up" in other.ask("INFO", "replication"), within=10)
            other.ask("REPLICAOF", "NO", "ONE")
            lost_position = engine.publish(message("lost"), kept())
            engine.stop()
            server.ask("REPLICAOF", "127.0.0.1", str(other.port))
            eventually(lambda: b"master_link_status:up" in server.ask("INFO", "replication"), within=10)
            server.ask("REPLICAOF", "NO", "ONE")
            engine = lab.listen().engine
            assert isinstance(kept_position, StreamPosition)
            assert isinstance(lost_position, StreamPosition)
            again = engine.publish(message("3"), kept())
            assert isinstance(again, StreamPosition)
            assert again.offset == lost_position.offset
            for position in (kept_position, lost_position):
                assert not engine.recover_since("news", position, ALL, LONG).recovered
        finally:
            lab.close()


def test_a_flushed_database_begins_other_epochs(lab: RedisLab, servers: list[RedisServer]) -> None:
    engine = lab.listen().engine
    before = engine.publish(message("1"), kept())
    servers[0].ask("FLUSHALL")
    after = engine.publish(message("2"), kept())
    assert isinstance(before, StreamPosition)
    assert isinstance(after, StreamPosition)
    assert (after.offset, after.epoch == before.epoch) == (1, False)
    assert not engine.recover_since("news", before, ALL, LONG).recovered


@pytest.mark.parametrize("evicted", ["stream", "top", "epoch"])
def test_evicted_publications_are_not_recovered(lab: RedisLab, servers: list[RedisServer], evicted: str) -> None:
    engine = lab.listen().engine
    for uid in ("1", "2"):
        engine.publish(message(uid), kept())
    top = engine.stream("news", HistoryFilter(), LONG).top
    suffix = "" if evicted == "epoch" else ".news"
    assert servers[0].ask("DEL", f"{lab.settings.prefix}.{evicted}{suffix}") == 1
    engine.publish(message("3"), kept())
    for offset in range(3):
        assert engine.recover_since("news", top._replace(offset=offset), ALL, LONG).recovered is (
            evicted == "stream" and offset == 2
        )
    found = engine.stream("news", HistoryFilter(ALL), LONG)
    assert found.publications[-1].offset == found.top.offset


def test_keys_of_other_versions_are_neither_read_nor_changed(lab: RedisLab, servers: list[RedisServer]) -> None:
    """In releases without positions, the list `history.NAME` was a history."""
    old = f"{lab.settings.prefix}.history.news"
    servers[0].ask("LPUSH", old, b"0" * 16 + msgspec.msgpack.encode([1, 1, "old", b"1", "", None]))
    engine = lab.listen().engine
    assert uids(engine) == []
    assert engine.publish(message("1"), kept()) is not None
    assert uids(engine) == ["1"]
    assert engine.recover("news", "old").complete is False
    engine.remove_history("news")
    assert servers[0].ask("LLEN", old) == 1


def test_batch_returns_an_outcome_for_each_publication(lab: RedisLab, servers: list[RedisServer]) -> None:
    engine = lab.listen().engine
    servers[0].ask("SET", f"{lab.settings.prefix}.stream.broken", "no list")
    servers[0].ask("SET", f"{lab.settings.prefix}.top.broken", "0" * 26 + "1")
    batch: list[PublishItem] = [
        (message("1"), kept(), None),
        (message("2", "broken"), kept(), None),
        (message("3"), None, None),
        (message("4"), kept(), None),
    ]
    first, failed, third, fourth = engine.publish_all(batch)
    assert isinstance(first, StreamPosition)
    assert isinstance(fourth, StreamPosition)
    assert (first.offset, third, fourth.offset) == (1, None, 2)
    assert "WRONGTYPE" in str(failed)
    assert uids(engine) == ["4", "1"]


def test_nodes_with_other_prefixes_or_databases_are_independent(servers: list[RedisServer]) -> None:
    here, there = RedisLab(servers[:1]), RedisLab(servers[:1])
    try:
        near, far = here.listen(), there.listen()
        far.engine.subscribe("news")
        near.engine.publish(message(), kept())
        assert (uids(far.engine), near.engine.channels(), far.events) == ([], [], [])
    finally:
        here.close()
        there.close()


# -- doors that are locked


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server with a password, a user, and TLS on a second port."""
    directory = tmp_path_factory.mktemp("guarded")
    key, certificate = str(directory / "key.pem"), str(directory / "certificate.pem")
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-keyout",
        key,
        "-out",
        certificate,
    ]
    subprocess.run([*make, *subject], check=True, capture_output=True)
    tls = ["--tls-port", str(free_port()), "--tls-cert-file", certificate, "--tls-key-file", key]
    users = ["--requirepass", "open sesame", "--user", "ann", "on", ">secret", "~*", "&*", "+@all"]
    with redis_server(directory, *tls, "--tls-auth-clients", "no", *users) as server:
        yield server


def tls_port(server: RedisServer) -> int:
    return int(server.arguments[server.arguments.index("--tls-port") + 1])


def certificate(server: RedisServer) -> str:
    return server.arguments[server.arguments.index("--tls-cert-file") + 1]


def works(*shards: ShardSettings) -> bool:
    """Return whether an engine can publish to itself on a server."""
    lab = RedisLab([])
    lab.settings = RedisSettings(shards, timeouts=Timeouts(connect=0.5, read=1))
    try:
        listener = lab.listen()
        listener.engine.subscribe("news")
        listener.engine.publish(message(), None)
        listener.expect_events(message())
    except EngineError:
        return False
    finally:
        lab.close()
    return True


def test_engine_logs_in_with_password_and_user(guarded: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    address = ServerAddress("127.0.0.1", guarded.port)
    assert works(ShardSettings(address, password="open sesame", db=3))
    assert works(ShardSettings(address, "ann", "secret"))
    caplog.clear()
    assert not works(ShardSettings(address))
    assert "Authentication required" in caplog.text or "NOAUTH" in caplog.text
    caplog.clear()
    assert not works(ShardSettings(address, "ann", "guess"))
    assert "invalid username-password pair" in caplog.text
    assert "guess" not in caplog.text
    assert not works(ShardSettings(address, password="open sesame", db=99))


def test_engine_connects_with_tls(guarded: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    address = ServerAddress("localhost", tls_port(guarded))
    shard = ShardSettings(address, password="open sesame", tls=Tls(ca_file=certificate(guarded)))
    assert works(shard)
    assert works(dataclasses.replace(shard, tls=Tls(verify=False)))
    assert not works(dataclasses.replace(shard, tls=Tls()))
    assert "self-signed certificate" in caplog.text
    assert not works(dataclasses.replace(shard, address=ServerAddress("127.0.0.1", address.port)))
    assert not works(dataclasses.replace(shard, tls=None))
    assert not works(dataclasses.replace(shard, tls=Tls(ca_file="/nowhere")))


def test_a_batch_over_two_shards_arrives_in_its_order(servers: list[RedisServer], nothing_left_behind: None) -> None:
    lab = RedisLab(servers)
    try:
        listener = lab.listen()
        batch: list[PublishItem] = [
            (message(str(number), f"news:{number % 16}"), None if number % 3 else kept(), None) for number in range(200)
        ]
        for number in range(16):
            listener.engine.subscribe(f"news:{number}")
        outcomes = listener.engine.publish_all(batch)
        for (_, history, _), outcome in zip(batch, outcomes, strict=True):
            assert isinstance(outcome, type(None) if history is None else StreamPosition)
        listener.expect_events(*(publication for publication, _, _ in batch))
    finally:
        lab.close()


def test_batch_has_an_error_for_each_publication_without_server(nothing_left_behind: None) -> None:
    shards = tuple(ShardSettings(ServerAddress("127.0.0.1", free_port())) for _ in range(2))
    engine = RedisEngine(RedisSettings(shards, prefix="test", timeouts=Timeouts(connect=0.1, read=0.2, write=0.1)))
    outcomes = engine.publish_all([(message(f"u{number}", f"c{number}"), None, None) for number in range(8)])
    assert len(outcomes) == 8
    assert all(isinstance(outcome, EngineError) for outcome in outcomes)
    engine.stop()
