"""The snippet of docs/redis.md that writes into the API queue, run with a real Redis behind a real node."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.docs.pages import page
from tests.docs.programs import Program
from tests.protocol_client import ProtocolClient
from tests.redis_server import redis_server
from tests.servers import Server


def test_client_receives_messages_from_the_queue(start_server: Callable[..., Server], tmp_path: Path) -> None:
    (block,) = (block for block in page("redis.md").blocks if block.runner == "tests/docs/test_redis_snippet.py")
    with redis_server(tmp_path) as redis:
        node = start_server(**redis.options, redis_api=True)
        with ProtocolClient(node, "42") as client:
            client.subscribe("news")
            text = block.text.replace("redis.Redis()", f"redis.Redis(port={redis.port})")
            assert Program("python", text, tmp_path).output() == ""
            assert client.message() == {"text": "Hello"}
