"""A server that has a key for tokens and no secret: it starts, and accepts nothing that a secret would have signed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api_client import APIClient
from tests.credentials import connect_params
from tests.servers import running
from tests.websocket_client import WebSocketClient

KEY = "a key of some length for tokens, at least 32"
OPTIONS = {"secret": "", "token_hmac_secret_key": KEY}


@pytest.mark.parametrize("secret", ["", KEY])
def test_server_with_only_a_token_key_accepts_no_signature_of_v1(tmp_path: Path, secret: str) -> None:
    with running(OPTIONS, tmp_path) as server:
        answer = APIClient(server.host, server.port, secret).post('{"method": "channels", "params": {}}')
        assert answer.status == 400
        socket = WebSocketClient.connect(server.host, server.port)
        socket.send_json({"uid": "1", "method": "connect", "params": connect_params("ann", secret=secret)})
        assert "invalid token" in socket.wait_closed().reason
