"""Each promise names existing tests; this file has the test for one of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.api_client import APIClient
from tests.docs.pages import page
from tests.parts import ROOT
from tests.protocol_client import ProtocolClient
from tests.redis_server import redis_server
from tests.servers import Server

PROMISES = ("Messages", "What can be lost", "Presence and joins", "Hooks")


def test_tests_of_every_promise_exist() -> None:
    promises = page("promises.md")
    numbers = [row[0] for part in PROMISES for row in promises.table_after(part)]
    tests = {row[0]: row[1].split(", ") for row in promises.table_after("The tests")}
    assert numbers == list(tests)
    assert [name for names in tests.values() for name in names if not is_there(name)] == []


def is_there(test: str) -> bool:
    """Whether the file has a function of that name."""
    file, _, name = test.partition("::")
    return re.search(rf"^ *def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE) is not None


def test_clients_of_a_killed_node_recover_at_another(tmp_path: Path, start_server: Callable[..., Server]) -> None:
    namespaces = [{"name": "kept", "recover": True, "history_size": 10, "history_lifetime": 60}, {"name": "live"}]
    with redis_server(tmp_path) as redis:
        dying, other = (start_server(namespaces=namespaces, **redis.options) for _ in range(2))
        api = APIClient(other.host, other.port)
        with ProtocolClient(dying, "ann") as ann:
            for channel in ("kept:news", "live:news"):
                ann.subscribe(channel)
            api.publish("kept:news", 1)
            last = ann.push()["body"]["uid"]
            dying.kill()
        for channel in ("kept:news", "live:news"):
            api.publish(channel, 2)
        with ProtocolClient(other, "ann") as ann:
            body = ann.subscribe("kept:news", recover=True, last=last)
            assert ([message["data"] for message in body["messages"]], body["recovered"]) == ([2], True)
            assert ann.subscribe("live:news", recover=True, last=last)["messages"] is None
