"""Tokens that name their user in another claim than sub: they are accepted, and the log points them out once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gentrifugo.app.node.node import Node
from gentrifugo.app.protocol.v2 import token_subject
from gentrifugo.app.protocol.v2.token_making import sign_token
from tests.local_client_v2 import KEY, LocalClientV2


@pytest.fixture(autouse=True)
def nothing_logged() -> Iterator[None]:
    """Forget what earlier tests have made the server log."""
    token_subject._anonymous.reset()
    yield
    token_subject._anonymous.reset()


def user_of(node: Node, claims: dict[str, Any]) -> str:
    client = LocalClientV2(node)
    assert client.call("connect", token=sign_token(KEY, claims))["client"]
    return client.connection.user


@pytest.mark.parametrize("claim", ["user", "user_id", "userId", "uid"])
def test_a_user_in_another_claim_is_anonymous_and_logged_once(
    claim: str, node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    assert [user_of(node, {claim: user}) for user in ("42", 42)] == ["", ""]
    assert [record.getMessage() for record in caplog.records] == [
        f"accepted a connection token without the claim sub, so its user is anonymous; it has a claim {claim}: the ID "
        "of the user must be in the claim sub (logged once)"
    ]


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"sub": ""},
        {"sub": "", "user": "42"},
        {"sub": "ann", "user": "42"},
        {"user": None},
        {"info": {"user": "42"}},
    ],
)
def test_a_token_of_an_anonymous_user_is_not_logged(
    claims: dict[str, Any], node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    assert user_of(node, claims) == claims.get("sub", "")
    assert caplog.records == []
