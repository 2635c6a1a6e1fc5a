"""Every recorded conversation goes with our server as it went with Centrifugo v1."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.player import CONVERSATIONS, SERVER_OPTIONS, Player
from tests.servers import Server, running

FILES = sorted(CONVERSATIONS.rglob("*.json"))


def options() -> dict[str, Any]:
    return dict(json.loads(SERVER_OPTIONS.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all conversations that need no options of their own."""
    with running(options(), tmp_path_factory.mktemp("conformance")) as server:
        yield server


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(CONVERSATIONS).with_suffix("")) for file in FILES])
def test_conversation(file: Path, shared_server: Server, start_server: Callable[..., Server]) -> None:
    conversation = json.loads(file.read_text(encoding="utf-8"))
    server = shared_server
    if "options" in conversation:
        server = start_server(**options(), **conversation["options"])
    Player(server.host, server.port).play(conversation["steps"])
