"""The address of a server, from its URL."""

from __future__ import annotations

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.target import Target


@pytest.mark.parametrize(
    ("url", "address", "path"),
    [
        ("http://127.0.0.1:8000", ("127.0.0.1", 8000), "/api/"),
        ("http://127.0.0.1", ("127.0.0.1", 80), "/api/"),
        ("http://[::1]:8000/", ("::1", 8000), "/api/"),
        ("http://127.0.0.1:8000/live", ("127.0.0.1", 8000), "/live/api/"),
    ],
)
def test_a_url_names_address_and_prefix(url: str, address: tuple[str, int], path: str) -> None:
    target = Target.of(url, "secret")
    assert (target.address, f"{target.prefix}/api/") == (address, path)
    assert target.websocket_path == path.removesuffix("api/") + "connection/websocket"


def test_connections_are_spread_over_the_nodes_in_turn() -> None:
    target = Target.of("http://127.0.0.1:8000,http://127.0.0.1:8001", "secret")
    assert [target.node(number).address[1] for number in range(4)] == [8000, 8001, 8000, 8001]
    alone = Target.of("http://127.0.0.1:8000", "secret")
    assert alone.node(7) is alone


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:8000", "https://127.0.0.1", "ws://127.0.0.1", "http://", "http://127.0.0.1:x", "http://x:99999"],
)
def test_invalid_url_is_refused_and_named(url: str) -> None:
    with pytest.raises(BenchmarkError) as refused:
        Target.of(url, "secret")
    assert url in str(refused.value)
