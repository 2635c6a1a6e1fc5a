"""A server for the tests of the client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.credentials import API_KEY, SECRET, TOKEN_KEY
from tests.servers import Server, running

CHAT = {
    "name": "chat",
    "presence": True,
    "history_size": 10,
    "history_lifetime": 60,
    "allow_subscribe_for_client": True,
}
OPTIONS: dict[str, Any] = {
    "secret": SECRET,
    "api_key": API_KEY,
    "token_hmac_secret_key": TOKEN_KEY,
    "namespaces": [CHAT],
}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start one server for all tests. Each test uses its own channels and users."""
    with running(OPTIONS, tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def channel(request: pytest.FixtureRequest) -> str:
    """Return a channel with history and presence that no other test uses."""
    return f"chat:{request.node.name}"
