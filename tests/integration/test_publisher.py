"""Commands through Redis from a process that is not a node, such as this one, which gevent has not patched."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gentrifugo import CommandError, Publisher, publisher
from gentrifugo.app.config.options import ConfigError
from tests.protocol_client import ProtocolClient
from tests.redis_server import RedisServer, redis_server
from tests.servers import Server
from tests.waiting import eventually, seconds

CHAT = {"name": "chat", "presence": True, "history_size": 100, "history_lifetime": 60, "recover": True}
OPTIONS: dict[str, Any] = {"node_ping_interval": 0.3, "namespaces": [CHAT]}


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def server(redis: RedisServer, start_server: Callable[..., Server]) -> Server:
    redis.ask("FLUSHALL")
    return start_server(**OPTIONS, **redis.options)


@pytest.fixture
def outside(redis: RedisServer) -> Iterator[Publisher]:
    made = publisher({**OPTIONS, **redis.options})
    yield made
    made.close()


def test_clients_receive_publications_of_the_publisher_in_order(server: Server, outside: Publisher) -> None:
    with ProtocolClient(server, "ann") as client:
        client.subscribe("chat:1")
        client.subscribe("news")
        for number in range(20):
            outside.publish("chat:1", number)
        outside.broadcast(["news", "chat:1"], {"text": "hello"})
        got = [client.push()["body"] for _ in range(22)]
    assert [body["data"] for body in got[:20]] == list(range(20))
    assert {body["channel"]: body["data"] for body in got[20:]} == {
        "news": {"text": "hello"},
        "chat:1": {"text": "hello"},
    }


def test_publisher_reads_presence_history_and_channels(server: Server, outside: Publisher) -> None:
    with ProtocolClient(server, "ann", info='{"name":"Ann"}') as client:
        client.subscribe("chat:1")
        (who,) = outside.presence("chat:1").values()
        assert (who.user, who.default_info) == ("ann", {"name": "Ann"})
        outside.publish("chat:1", "first", uid="u1")
        outside.publish("chat:1", "second")
        assert [published.data for published in outside.history("chat:1")] == ["second", "first"]
        assert outside.channels() == ["chat:1"]


def test_publisher_reads_and_deletes_histories_by_position(server: Server, outside: Publisher) -> None:
    first = outside.publish("chat:1", 1, tags={"a": "b"}, idempotency_key="key")
    assert first is not None
    assert outside.publish("chat:1", 2, idempotency_key="key") == first
    assert outside.broadcast(["chat:1", "news"], 3) == [(2, first.epoch), None]
    history = outside.history("chat:1", since=(0, first.epoch))
    assert [(message.data, message.offset, message.tags) for message in history] == [(1, 1, {"a": "b"}), (3, 2, {})]
    assert history.position == (2, first.epoch)
    outside.history_remove("chat:1")
    assert outside.history("chat:1") == []
    assert outside.presence_stats("chat:1") == (0, 0)
    with pytest.raises(CommandError, match="unrecoverable position"):
        outside.history("chat:1", since=(1, "another"))


def test_publications_of_the_publisher_are_recovered(server: Server, outside: Publisher) -> None:
    outside.publish("chat:1", 0, uid="seen")
    outside.publish("chat:1", 1)
    with ProtocolClient(server, "ann") as client:
        body = client.subscribe("chat:1", recover=True, last="seen")
    assert (body["recovered"], [message["data"] for message in body["messages"]]) == (True, [1])


def test_users_are_unsubscribed_and_disconnected_on_all_nodes(server: Server, outside: Publisher) -> None:
    with ProtocolClient(server, "ann") as client:
        client.subscribe("news")
        outside.unsubscribe("ann", "news")
        assert client.push()["method"] == "unsubscribe"
        outside.disconnect("ann")
        assert "disconnect" in client.wait_closed().reason


def test_stats_contain_all_nodes_and_not_the_publisher(
    server: Server, redis: RedisServer, start_server: Callable[..., Server], outside: Publisher
) -> None:
    start_server(name="second", **OPTIONS, **redis.options)
    nodes = eventually(lambda: [n for n in [outside.stats()["nodes"]] if len(n) == 2], within=5)[0]
    assert "second" in {node["name"] for node in nodes}
    assert all(node["metrics"]["node_num_clients"] == 0 for node in nodes)


@pytest.mark.parametrize(
    ("command", "arguments", "text"),
    [("publish", ("what:1", 1), "namespace not found"), ("history", ("news",), "not available")],
)
def test_refused_calls_raise_an_exception(outside: Publisher, command: str, arguments: Any, text: str) -> None:
    with pytest.raises(CommandError, match=text):
        getattr(outside, command)(*arguments)


FORK = """
import os
from gentrifugo import publisher
made = publisher(%r)
if os.fork():
    os.wait()
made.publish("chat:1", os.getpid())
"""


def test_after_a_fork_no_two_publications_have_one_uid(redis: RedisServer, outside: Publisher) -> None:
    """A server for many processes may load an application, and its publisher, before it forks."""
    redis.ask("FLUSHALL")
    subprocess.run([sys.executable, "-c", FORK % {**OPTIONS, **redis.options}], check=True, timeout=seconds(20))
    first, second = outside.history("chat:1")
    assert first.data != second.data
    assert first.uid != second.uid


def test_threads_can_share_a_publisher(server: Server, outside: Publisher) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: outside.publish("chat:1", number), range(80)))
    assert sorted(published.data for published in outside.history("chat:1")) == list(range(80))


def test_publisher_fails_while_redis_is_down_and_recovers(tmp_path: Path) -> None:
    with redis_server(tmp_path) as own:
        outside = publisher({**OPTIONS, **own.options, "redis_connect_timeout": 0.5})
        outside.publish("chat:1", 1)
        own.restart()  # the connection that is kept is dead
        outside.publish("chat:1", 2)
        own.kill()
        for command in (lambda: outside.publish("chat:1", 3), lambda: outside.presence("chat:1"), outside.stats):
            with pytest.raises(CommandError, match="internal server error"):
                command()
        with pytest.raises(CommandError, match="internal server error"):
            outside.broadcast(["chat:1", "chat:2"], 4)
        outside.close()


def test_scripts_that_redis_forgot_are_loaded_again(server: Server, redis: RedisServer, outside: Publisher) -> None:
    outside.publish("chat:1", 1)
    redis.ask("SCRIPT", "FLUSH")
    outside.publish("chat:1", 2)
    redis.ask("SCRIPT", "FLUSH")
    outside.broadcast(["chat:1", "chat:1"], 3)
    assert [published.data for published in outside.history("chat:1")] == [3, 3, 2, 1]


def test_publisher_uses_two_shards(tmp_path: Path, redis: RedisServer, start_server: Callable[..., Server]) -> None:
    with redis_server(tmp_path) as other:
        ports = f"{redis.port},{other.port}"
        options = {**OPTIONS, **redis.options, "redis_port": ports}
        redis.ask("FLUSHALL")
        server = start_server(**options)
        names = [f"chat:{number}" for number in range(20)]
        outside = publisher(options)
        with ProtocolClient(server, "ann") as client:
            for name in names:
                client.subscribe(name)
            outside.broadcast(names, "all")
            assert {client.push()["body"]["channel"] for _ in names} == set(names)
            assert sorted(outside.channels()) == sorted(names)
            assert all(len(outside.history(name)) == 1 for name in names)
        outside.close()


def test_wrong_options_are_named() -> None:
    with pytest.raises(ConfigError, match=r"the options of publisher\(\.\.\.\): redis_url"):
        publisher(redis_url=6379)
    with pytest.raises(ConfigError, match="redis_port"):
        publisher(redis_port="many")


SITE = """
from flask import Flask
from gentrifugo import Gentrifugo
app = Flask(__name__)
app.config.update(SECRET_KEY="a key of the tests", GENTRIFUGO_NAMESPACES=[{"name": "chat"}], **%r)
realtime = Gentrifugo(app)
"""


PATCHED = "from gevent import monkey\nmonkey.patch_all()\n"
NO_NODE = """
def start():
    raise AssertionError("this process is to be no node")
app.extensions["gentrifugo_server"].service.start = start
"""


def flask_command(directory: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return run_beside(directory, SITE, "-m", "flask", "--app", "news:app", "realtime", "publish", *arguments, **options)


def run_beside(directory: Path, site: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments in a directory with the site as news.py."""
    config = {f"GENTRIFUGO_{name.upper()}": value for name, value in options.items()}
    (directory / "news.py").write_text(site % config, encoding="utf-8")
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=seconds(20))


def test_flask_command_publishes_a_message(tmp_path: Path, server: Server, redis: RedisServer) -> None:
    with ProtocolClient(server, "ann") as client:
        client.subscribe("news")
        done = flask_command(tmp_path, "news", '{"text": "from the shell"}', **redis.options)
        assert (done.returncode, done.stderr) == (0, "")
        assert client.message() == {"text": "from the shell"}


def test_flask_realtime_publish_reports_errors(tmp_path: Path, redis: RedisServer) -> None:
    for arguments, options, says in [
        (("news", "hello"), redis.options, """strings need quotes in JSON: '"hello"'"""),
        (("what:1", "1"), redis.options, "Error: namespace not found"),
        (("news", "1"), {}, "Error: the memory engine cannot reach a server in another process: use the HTTP API"),
    ]:
        done = flask_command(tmp_path, *arguments, **options)
        assert done.returncode != 0
        assert says in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("-m", "flask", "--app", "news:app", "realtime", "publish", "news", '"from outside"'),
        ("-c", "from news import realtime; realtime.use_redis_only(); realtime.publish('news', 'from outside')"),
    ],
    ids=["command", "worker"],
)
def test_patched_site_can_use_redis_only(
    tmp_path: Path, server: Server, redis: RedisServer, arguments: tuple[str, ...]
) -> None:
    site = PATCHED + SITE + NO_NODE
    with ProtocolClient(server, "ann") as client:
        client.subscribe("news")
        done = run_beside(tmp_path, site, *arguments, **redis.options)
        assert (done.returncode, done.stderr) == (0, "")
        assert client.message() == "from outside"
    lost = run_beside(tmp_path, site, *arguments)
    assert lost.returncode != 0
    assert "the memory engine cannot reach a server in another process" in lost.stderr
