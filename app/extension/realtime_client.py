"""A client for tests: a connection to the server of an application under test, without a socket (docs/testing.md).

It uses version 1 of the protocol. On the server, the usual class for clients serves it.
"""

from __future__ import annotations

import itertools
import json
import time
from typing import Any, NamedTuple, Self

import msgspec

from ..model import signing
from ..model.events import user_id
from ..node.base_client import ConnectionStart
from ..protocol.v1.client import ClientV1
from .backend import ClientInfo, CommandError, HistoryMessage
from .in_process_connection import DISCONNECTED, ConnectionClosed, InProcessConnection, SimulatedPage


class Push(NamedTuple):
    """A message, join, leave or unsubscribe that the server sends to a client."""

    kind: str
    """`message`, `join`, `leave` or `unsubscribe`."""
    channel: str
    data: Any = None
    """Of a message: the published data."""
    uid: str = ""
    client: str = ""
    """Of a message: the client ID of the publisher; empty if a backend published it."""
    info: ClientInfo | None = None
    """The client that has published the message, if one did, or that has joined or left."""


class Subscribed(NamedTuple):
    """The reply to a subscription."""

    last: str
    """The uid of the last message in a channel that can be recovered."""
    messages: list[HistoryMessage]
    """The messages that the client has missed, newest first."""
    recovered: bool
    """Whether these are all messages that the client has missed."""


class RealtimeClient(InProcessConnection[Push]):
    """A client of an application under test. Each method returns when the server has carried out the command.

    Methods raise CommandError if the server rejects a command, and ConnectionClosed if it has closed the connection.
    Call `connect` first, or use a `with` block, which connects, and disconnects at its end.
    """

    def __init__(
        self,
        page: SimulatedPage,
        user: str | int | None,
        info: Any,
    ) -> None:
        super().__init__(page)
        self._user = None if user is None else user_id(user)
        self._info = "" if info is None else json.dumps(info)
        self._replies: dict[str, dict[str, Any]] = {}
        self._numbers = itertools.count(1)

    # -- the connection

    def connect(self) -> Self:
        """Connect with a token for the user of the client, or without one, so that `on_connect` decides.

        Returns the client. A second call after the end of a connection opens another one.
        """
        node = self._server.service.node
        self._open(lambda transport, opening: ClientV1(node, transport, ConnectionStart(opening)))
        self.id = self.command("connect", **self._credentials()).get("client", "")
        return self

    @property
    def closed(self) -> ConnectionClosed | None:
        """Why the server has closed the connection; None if it has not."""
        closed = self._transport.closed
        return None if closed is None else ConnectionClosed(**json.loads(closed[1]))

    def refresh(self) -> None:
        """Renew the connection: with a new token, or without one, so that `on_refresh` decides."""
        self.command("refresh", **self._credentials())

    # -- commands

    def subscribe(
        self, channel: str, recover: bool = False, last: str = "", sign: str = "", info: str = ""
    ) -> Subscribed:
        """Subscribe to a channel. With `recover`, the reply contains the messages after the message with uid `last`.

        For a private channel without `sign`, the client first requests a signature from the application, like a page:
        with a POST to the path of option auth_endpoint.
        """
        params: dict[str, Any] = {"channel": channel, "recover": recover, "last": last}
        if self._server.service.node.rules.is_private(channel):
            params |= {"sign": sign, "info": info} if sign else self._sign(channel)
            params["client"] = self.id
        body = self.command("subscribe", **params)
        messages = [_history_message(message) for message in body["messages"] or ()]
        return Subscribed(body["last"], messages, body["recovered"])

    def unsubscribe(self, channel: str) -> None:
        """Unsubscribe from a channel."""
        self.command("unsubscribe", channel=channel)

    def publish(self, channel: str, data: Any) -> None:
        """Publish to a channel; its option `publish` must be on, and the client must be subscribed."""
        self.command("publish", channel=channel, data=data)

    def presence(self, channel: str) -> dict[str, ClientInfo]:
        """Return the subscribers of a channel, by client ID."""
        data: dict[str, Any] = self.command("presence", channel=channel)["data"]
        return {client: _client_info(info) for client, info in data.items()}

    def history(self, channel: str) -> list[HistoryMessage]:
        """Return the history of a channel, newest first."""
        return [_history_message(message) for message in self.command("history", channel=channel)["data"]]

    def command(self, method: str, **params: Any) -> dict[str, Any]:
        """Send any command of the protocol (docs/protocol.md); returns the body of the reply."""
        uid = str(next(self._numbers))
        self._send(msgspec.json.encode({"uid": uid, "method": method, "params": params}))
        reply = self._replies.pop(uid, None)
        if reply is None:
            raise self.closed or ConnectionClosed(DISCONNECTED)
        if "error" in reply:
            raise CommandError(reply["error"])
        body: dict[str, Any] = reply.get("body") or {}
        return body

    # -- what the server sends by itself

    def _sort(self) -> None:
        """Separate the received frames into pushes and replies."""
        received = self._transport.outbox.received
        while received:
            message = json.loads(received.popleft())
            if "uid" in message:
                self._replies[message["uid"]] = message
            else:
                self._pushes.append(_push(message))

    # -- what a page knows

    def _credentials(self) -> dict[str, str]:
        config = self._server.service.config
        if self._user is None:
            return {}
        if not config.secret:
            return {"user": self._user, "info": self._info}
        return signing.credentials(config.secret, self._user, int(time.time()), self._info)

    def _sign(self, channel: str) -> dict[str, str]:
        """Request the signature for a private channel from the application, like a page does."""
        path = self._server.service.config.auth_endpoint
        response = self._http.post(path, json={"client": self.id, "channels": [channel]}, headers=self._headers)
        answer = response.get_json(silent=True) if response.status_code == 200 else None
        signed = answer.get(channel) if isinstance(answer, dict) else None
        if not isinstance(signed, dict) or "sign" not in signed:
            status = signed.get("status") if isinstance(signed, dict) else response.status_code
            raise CommandError(f"{path} returned no signature for {channel}: status {status}")
        return {"sign": signed["sign"], "info": signed.get("info", "")}


def _push(message: dict[str, Any]) -> Push:
    kind, body = message["method"], message["body"]
    if kind == "message":
        info = _client_info(body["info"]) if "info" in body else None
        return Push(kind, body["channel"], body["data"], body["uid"], body.get("client", ""), info)
    return Push(kind, body["channel"], info=_client_info(body["data"]) if "data" in body else None)


def _history_message(message: dict[str, Any]) -> HistoryMessage:
    info = _client_info(message["info"]) if "info" in message else None
    return HistoryMessage(message["uid"], message["channel"], message["data"], message.get("client", ""), info)


def _client_info(info: dict[str, Any]) -> ClientInfo:
    return ClientInfo(info["user"], info["client"], info.get("default_info"), info.get("channel_info"))
