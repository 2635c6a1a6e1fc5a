"""An operator without a browser: logs in over HTTP, and uses the admin socket like the web interface of v1."""

from __future__ import annotations

import itertools
import json
from typing import Any
from urllib.parse import urlencode

from tests.api_client import Answer, APIClient
from tests.websocket_client import PATIENCE, WebSocketClient

PASSWORD, ADMIN_SECRET = "open sesame", "admin secret"
OPTIONS: dict[str, Any] = {"admin": True, "admin_password": PASSWORD, "admin_secret": ADMIN_SECRET}
"""What a server needs for an operator to log in."""
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def log_in(host: str, port: int, password: str = PASSWORD, **headers: str) -> Answer:
    """Send a password to `/auth/`."""
    body = urlencode({"password": password}).encode()
    return APIClient(host, port).request("POST", "/auth/", body, {**FORM, **headers})


def token_of(answer: Answer) -> str:
    """The token in the answer to the right password."""
    assert answer.status == 200, answer
    return str(answer.json()["token"])


class AdminClient:
    """One admin socket; `connect` sends the token."""

    def __init__(self, host: str, port: int, **headers: str) -> None:
        self.socket = WebSocketClient.connect(host, port, "/socket", headers)
        self._uids = itertools.count(1)

    @classmethod
    def connected(cls, host: str, port: int, *, watch: bool = False, batch: bool = False) -> AdminClient:
        """Log in and connect."""
        client = cls(host, port)
        token = token_of(log_in(host, port))
        params = {"token": token, "watch": watch, **({"batch": True} if batch else {})}
        assert client.call("connect", **params)["body"] is True
        return client

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Run one command and return its reply; pushes that arrive in the meantime are discarded."""
        uid = str(next(self._uids))
        self.socket.send_json({"uid": uid, "method": method, "params": params})
        while True:
            message = self.socket.recv_json()
            if isinstance(message, list) and len(message) == 1 and message[0].get("uid") == uid:
                return dict(message[0])

    def data(self, method: str, **params: Any) -> Any:
        """The data in the body of the reply."""
        reply = self.call(method, **params)
        assert reply["error"] is None, reply
        return reply["body"]["data"]

    def push(self, timeout: float = PATIENCE) -> Any:
        """The next frame, decoded."""
        return json.loads(self.socket.recv_text(timeout))

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> AdminClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
