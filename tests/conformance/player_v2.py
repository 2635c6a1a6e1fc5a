"""Plays a conversation of protocol v2, in JSON or in Protobuf, and reports where the server differs.

A file in conversations_v2/ is an object with `steps`, each of them one of these:

    {"connect": "a", "claims": {...}}   open a connection, called `a`, and connect with a token of user `a`; also
                                        `user`, and what else stands in `request` goes into the command
    {"open": "a"}                       open a connection without connecting
    {"send": [X, ...], "as": "a"}       `a` sends these commands in one frame; `text` in place of `send` is a frame as
                                        it is, in JSON only
    {"read": "a"}                       nothing is sent; `a` must have received only the messages in `expect`
    {"drop": "a"}                       `a` disconnects without a close frame
    {"api": "publish", "params": {}}    a method of the API of later versions; `expect` is its result
    {"wait": 1.5}                       seconds pass

`expect` lists the messages that must come, in this order and no others; how they are packed into frames does not count.
With `"any_order": true` their order is free. `closed` is code and reason that the connection must then be closed with.
At the end nothing more may have come to any connection. `"formats": ["json"]` leaves Protobuf out.

Texts may hold the names of player.py, and also <epoch 1>: whatever stood here first; everywhere else it must be the
same. An object {"<token>": {...}} is a token with these claims, and {"<in>": 60} the time in so many seconds.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.conformance.player import Player
from tests.credentials import jwt
from tests.protocol_client_v2 import ProtocolClientV2
from tests.servers import Server
from tests.websocket_client import TEXT, Closed

CONVERSATIONS = Path(__file__).parent / "conversations_v2"
SERVER_OPTIONS = Path(__file__).parent / "server_v2.json"


class PlayerV2(Player):
    """One run of one conversation, in one format."""

    def __init__(self, nodes: list[Server], format_: str) -> None:
        super().__init__(nodes[0].host, nodes[0].port, nodes[-1].port)
        self._server = nodes[0]
        self._format = format_
        self.clients: dict[str, ProtocolClientV2] = {}

    def play(self, steps: list[dict[str, Any]]) -> None:
        """Play all steps; an AssertionError names the step that failed."""
        try:
            super().play(steps)
        finally:
            for client in self.clients.values():
                client.socket.drop()

    # -- the actions

    def _open(self, step: dict[str, Any]) -> None:
        self.clients[step["open"]] = ProtocolClientV2(self._server, format_=self._format)

    def _connect(self, step: dict[str, Any]) -> None:
        name = step["connect"]
        self._open({"open": name})
        claims = {"sub": self._fill(step.get("user", name)), **self._fill(step.get("claims", {}))}
        request = {"token": jwt(**claims), **self._fill(step.get("request", {}))}
        self.clients[name].send({"id": 1, "connect": request})
        connected = {"client": f"<client {name}>", "version": "<any>", "ping": 25, "pong": True}
        reply = {"id": 1, "connect": {**connected, **step.get("reply", {})}}
        self._check_messages(name, {"closed": step["closed"]} if "closed" in step else {"expect": [reply]})
        if "expect" in step:
            self._check_messages(name, step)

    def _send(self, step: dict[str, Any]) -> None:
        self.clients[step["as"]].send(*self._fill(step["send"]))
        self._check_messages(step["as"], step)

    def _text(self, step: dict[str, Any]) -> None:
        self.clients[step["as"]].socket.send_frame(TEXT, self._fill(step["text"]).encode())
        self._check_messages(step["as"], step)

    def _read(self, step: dict[str, Any]) -> None:
        self._check_messages(step["read"], step)
        if "expect" not in step and "closed" not in step:
            self.clients[step["read"]].assert_quiet()

    def _drop(self, step: dict[str, Any]) -> None:
        self.clients.pop(step["drop"]).socket.drop()

    def _api(self, step: dict[str, Any]) -> None:
        result = self.api.call_v4(step["api"], **self._fill(step.get("params", {})))
        if "expect" in step:
            self._match(step["expect"], result, "result")

    # -- what came

    def _check_silence(self) -> None:
        for name, client in self.clients.items():
            if client.socket.closed is None and not client.is_closed:
                try:
                    client.assert_quiet()
                except (AssertionError, Closed) as error:
                    raise AssertionError(f"at the end, on {name}: {error}") from None

    def _check_messages(self, name: str, step: dict[str, Any]) -> None:
        client = self.clients[name]
        expected = step.get("expect", [])
        messages = [client.recv() for _ in expected]
        if step.get("any_order"):
            self._match_any_order(expected, messages)
        else:
            self._match(expected, messages, "messages")
        if "closed" in step:
            closed = client.wait_closed()
            assert [closed.code, closed.reason] == step["closed"], closed

    # -- names in angle brackets

    def _fill(self, value: Any) -> Any:
        if isinstance(value, dict) and value.keys() == {"<token>"}:
            return jwt(**self._fill(value["<token>"]))
        if isinstance(value, dict) and value.keys() == {"<in>"}:
            return int(time.time() + value["<in>"])
        return super()._fill(value)
