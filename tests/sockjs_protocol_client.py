"""A Centrifugo v1 client for tests, over SockJS polling: it sends commands, and polls for messages."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

from tests.credentials import connect_params
from tests.sockjs_client import Connection, Service, Session


class SockJSProtocolClient:
    """A session that has sent `connect`."""

    def __init__(self, host: str, port: int, user: str = "") -> None:
        self.service = Service(host, port, "/connection")
        self.session: Session = self.service.session().opened()
        self._waiting: deque[Any] = deque()
        self.id = self.call("connect", **connect_params(user))["body"]["client"]

    def send(self, method: str, **params: Any) -> None:
        answer = self.session.send(json.dumps({"method": method, "params": params}))
        assert answer.status == 204, answer

    def call(self, method: str, **params: Any) -> Any:
        """Run one command, and return the next message."""
        self.send(method, **params)
        return self.receive()

    def subscribe(self, channel: str) -> None:
        self.send("subscribe", channel=channel)
        while (reply := self.receive())["method"] != "subscribe":
            pass
        assert reply["body"]["status"], reply

    def receive(self) -> Any:
        """Return the next message."""
        while not self._waiting:
            self._waiting.extend(self.session.messages())
        return self._waiting.popleft()

    def start_poll(self) -> Connection:
        assert not self._waiting
        return self.session.start_poll()

    def close(self) -> None:
        self.service.close()

    def __enter__(self) -> SockJSProtocolClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
