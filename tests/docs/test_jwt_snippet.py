"""The program in docs/jwt.md creates tokens that the server accepts."""

from __future__ import annotations

from typing import Any

from gentrifugo.app.config.config import Config
from gentrifugo.app.protocol.v2.tokens import TokenVerifier
from tests.docs.pages import page


def test_tokens_of_the_page_are_valid() -> None:
    (block,) = [block for block in page("jwt.md").blocks if block.language == "python"]
    made: dict[str, Any] = {}
    exec(block.text, made)
    verifier = TokenVerifier(Config(token_hmac_secret_key=made["key"]))
    assert verifier.connection(made["connection"]).user == "42"
    assert verifier.subscription(made["subscription"], "board", "42", "c1").channel == "board"
