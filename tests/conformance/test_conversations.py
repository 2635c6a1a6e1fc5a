"""Every conversation that was recorded with Centrifugo v1 has the same replies with this server."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.player import CONVERSATIONS, SERVER_OPTIONS, Player
from tests.redis_server import redis_server
from tests.servers import Server, running

FILES = sorted(CONVERSATIONS.rglob("*.json"))
CONVERSATION = pytest.mark.parametrize(
    "file", FILES, ids=[str(file.relative_to(CONVERSATIONS).with_suffix("")) for file in FILES]
)


def options() -> dict[str, Any]:
    return dict(json.loads(SERVER_OPTIONS.read_text(encoding="utf-8")))


def play(file: Path, shared: Sequence[Server], start: Callable[..., list[Server]]) -> None:
    """Play against the shared servers, or against separate ones: clients on the first, the API on the last."""
    conversation = json.loads(file.read_text(encoding="utf-8"))
    servers = start(**conversation["options"]) if "options" in conversation else shared
    Player(servers[0].host, servers[0].port, servers[-1].port).play(conversation["steps"])


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all conversations without options."""
    with running(options(), tmp_path_factory.mktemp("conformance")) as server:
        yield server


@CONVERSATION
def test_conversation(file: Path, shared_server: Server, start_server: Callable[..., Server]) -> None:
    play(file, [shared_server], lambda **own: [start_server(**options(), **own)])


# -- over Redis: clients on one node, the API on another, channels on two shards


@pytest.fixture(scope="module")
def redis_options(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The options of a node that uses two shards."""
    directory = tmp_path_factory.mktemp("redis")
    with redis_server(directory) as first, redis_server(directory) as second:
        yield {"engine": "redis", "redis_port": f"{first.port},{second.port}"}


@pytest.fixture(scope="module")
def joined_servers(redis_options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """Two nodes for all conversations without options."""
    nodes = [tmp_path_factory.mktemp("node") for _ in range(2)]
    with running(options() | redis_options, nodes[0]) as one, running(options() | redis_options, nodes[1]) as other:
        yield [one, other]


@CONVERSATION
def test_conversation_over_redis(
    file: Path, joined_servers: list[Server], redis_options: dict[str, Any], start_server: Callable[..., Server]
) -> None:
    def start(**own: Any) -> list[Server]:
        # What another conversation left must not be seen.
        prefix = {"redis_prefix": f"test-{uuid.uuid4()}"}
        return [start_server(**options() | redis_options | prefix | own) for _ in range(2)]

    play(file, joined_servers, start)
