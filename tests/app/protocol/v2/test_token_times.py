"""Tokens whose times are in milliseconds instead of seconds: they are accepted, and the log points them out once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from gentrifugo.app.node.node import Node
from gentrifugo.app.protocol.v2 import token_times
from gentrifugo.app.protocol.v2.token_making import sign_token
from tests.local_client_v2 import KEY, LocalClientV2

MILLISECONDS = 1764000000000


@pytest.fixture(autouse=True)
def nothing_logged() -> Iterator[None]:
    """Forget what earlier tests have made the server log."""
    token_times._accepted.reset()
    yield
    token_times._accepted.reset()


def connect(node: Node, **claims: Any) -> LocalClientV2:
    client = LocalClientV2(node)
    assert client.call("connect", token=sign_token(KEY, {"sub": "ann", **claims}))["client"]
    return client


@pytest.mark.parametrize("claim", ["exp", "expire_at"])
def test_an_expiry_in_milliseconds_is_accepted_and_logged_once(
    claim: str, node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        client = connect(node, **{claim: MILLISECONDS})
        token = sign_token(KEY, {"sub": "ann", "channel": "closed:a", claim: MILLISECONDS})
        client.call("subscribe", channel="closed:a", token=token)
    lines = [record.getMessage() for record in caplog.records if "milliseconds" in record.getMessage()]
    assert lines == [
        f"accepted a {kind} token of user 'ann' that practically never expires: its claim exp or expire_at is "
        "1764000000000, which looks like milliseconds; the backend must give seconds (logged once)"
        for kind in ("connection", "subscription")
    ]


def test_an_expiry_in_seconds_is_not_logged(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    connect(node, exp=time.time() + 600)
    connect(node, exp=token_times.MAX_UNIX_SECONDS - 1)
    connect(node)
    assert "milliseconds" not in caplog.text
