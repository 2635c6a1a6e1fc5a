"""Conversations with clients of protocol v2, which are the same in JSON and in Protobuf."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.player_v2 import CONVERSATIONS, SERVER_OPTIONS, PlayerV2
from tests.protocol_client_v2 import FORMATS
from tests.redis_server import redis_server
from tests.servers import Server, running


def _plays() -> Iterator[Any]:
    """Yield each conversation in each of its formats."""
    for file in sorted(CONVERSATIONS.rglob("*.json")):
        conversation = json.loads(file.read_text(encoding="utf-8"))
        name = file.relative_to(CONVERSATIONS).with_suffix("")
        for format_ in conversation.get("formats", FORMATS):
            yield pytest.param(conversation["steps"], format_, id=f"{name}-{format_}")


CONVERSATION = pytest.mark.parametrize(("steps", "format_"), list(_plays()))


def options() -> dict[str, Any]:
    return dict(json.loads(SERVER_OPTIONS.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(options(), tmp_path_factory.mktemp("node")) as server:
        yield server


@CONVERSATION
def test_conversation(steps: list[dict[str, Any]], format_: str, server: Server) -> None:
    PlayerV2([server], format_).play(steps)


# -- over Redis: clients on one node, the API on another, channels on two shards


@pytest.fixture(scope="module")
def joined_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    directory, *nodes = (tmp_path_factory.mktemp(name) for name in ("redis", "node", "node"))
    with redis_server(directory) as first, redis_server(directory) as second:
        given = options() | {"engine": "redis", "redis_port": f"{first.port},{second.port}"}
        with running(given, nodes[0]) as one, running(given, nodes[1]) as other:
            yield [one, other]


@CONVERSATION
def test_conversation_over_redis(steps: list[dict[str, Any]], format_: str, joined_servers: list[Server]) -> None:
    PlayerV2(joined_servers, format_).play(steps)
