"""A client of protocol version 2 for tests: a connection to the server of an application under test, without a socket.

It uses JSON. On the server, the usual class for clients serves it (docs/testing.md).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import msgspec

from ..model.events import StreamPosition, user_id
from ..node.base_client import ConnectionStart
from ..node.commands import PresenceStats
from ..protocol.v2.client import ClientV2
from ..protocol.v2.json_format import JSON
from ..protocol.v2.token_making import connection_token, subscription_token
from .backend import ClientInfo, CommandError, HistoryList, HistoryMessage
from .in_process_connection import DISCONNECTED, ConnectionClosed, InProcessConnection, SimulatedPage


class PushV2(NamedTuple):
    """A message of the server that is not a reply."""

    kind: str
    """`pub`, `join`, `leave`, `subscribe`, `unsubscribe`, `message` or `refresh`, as in the protocol."""
    channel: str = ""
    data: Any = None
    """Of `pub`, `message` and `subscribe`: the published or sent data."""
    info: ClientInfo | None = None
    """The client that has published the message, if one did, or that has joined or left."""
    tags: dict[str, str] | None = None
    offset: int = 0
    """Of `pub`: its number in the stream of the channel; 0 if it is not stored in a history."""
    code: int = 0
    """Of `unsubscribe`: the code; client libraries resubscribe after 2500 and higher codes."""
    reason: str = ""


class SubscribedV2(NamedTuple):
    """The reply to a subscription of protocol v2."""

    position: StreamPosition | None
    """The position at which the subscription begins; None for a channel without positions."""
    publications: list[HistoryMessage]
    """The publications that the client has missed, oldest first."""
    recovered: bool
    """Whether these are all publications that the client has missed."""
    data: Any = None
    """The data that a hook or a backend sends with the subscription."""


class RealtimeClientV2(InProcessConnection[PushV2]):
    """A client of an application under test. Each method returns when the server has carried out the command.

    Methods raise CommandError if the server rejects a command, and ConnectionClosed if it has closed the connection.
    Call `connect` first, or use a `with` block, which connects, and disconnects at its end.
    """

    def __init__(
        self,
        page: SimulatedPage,
        user: str | int | None,
        info: Any,
        token: str | None,
        data: Any,
    ) -> None:
        super().__init__(page)
        self.data: Any = None
        """The data of the application in the reply to `connect`."""
        self.subscriptions: dict[str, SubscribedV2] = {}
        """The server-side subscriptions in the reply to `connect`, by channel."""
        self._user = None if user is None else user_id(user)
        self._info = info
        self._given_token = token
        self._connect_data = data
        self._replies: dict[int, dict[str, Any]] = {}
        self._numbers = itertools.count(1)

    # -- the connection

    def connect(self, recover_since: Mapping[str, StreamPosition] | None = None) -> Self:
        """Connect with a token for the user of the client, with the given one, or without one.

        Without a token, `on_connect` decides. `recover_since` has the last positions in server-side subscriptions.
        Returns the client. A second call after the end of a connection opens another one.
        """
        service = self._server.service
        self._open(
            # With pings of WebSocket, the protocol sends none, and this transport has none either.
            lambda transport, opening: ClientV2(service, transport, JSON, ConnectionStart(opening), has_own_pings=True)
        )
        request: dict[str, Any] = {"token": self._choose_token()}
        if self._connect_data is not None:
            request["data"] = self._connect_data
        if recover_since:
            request["subs"] = {channel: _recovery(since) for channel, since in recover_since.items()}
        result = self.command("connect", **request)
        self.id = result["client"]
        self.data = result.get("data")
        self.subscriptions = {name: _subscription_reply(name, sub) for name, sub in result.get("subs", {}).items()}
        return self

    @property
    def closed(self) -> ConnectionClosed | None:
        """Why the server has closed the connection; None if it has not."""
        if self._transport.closed is None:
            return None
        code, reason = self._transport.closed
        return ConnectionClosed(reason, reconnect=not (3500 <= code < 4000 or 4500 <= code < 5000), code=code)

    def refresh(self, token: str | None = None) -> None:
        """Renew the connection with another token, or with a new one for the user of the client."""
        self.command("refresh", token=self._choose_token() if token is None else token)

    # -- commands

    def subscribe(
        self, channel: str, token: str | None = None, data: Any = None, recover_since: StreamPosition | None = None
    ) -> SubscribedV2:
        """Subscribe to a channel. With `recover_since`, the reply contains the publications after this position.

        `token` is a subscription token; `subscription_token` creates one. `data` is passed to the hook on_subscribe.
        """
        request: dict[str, Any] = {"channel": channel, "positioned": True, "recoverable": True, "join_leave": True}
        if token is not None:
            request["token"] = token
        if data is not None:
            request["data"] = data
        if recover_since is not None:
            request |= _recovery(recover_since)
        return _subscription_reply(channel, self.command("subscribe", **request))

    def subscription_token(self, channel: str, info: Any = None) -> str:
        """Return a token with which this client may subscribe to a channel, signed with the key of the application."""
        return subscription_token(self._key, self._user or "", channel, info)

    def unsubscribe(self, channel: str) -> None:
        """Unsubscribe from a channel."""
        self.command("unsubscribe", channel=channel)

    def publish(self, channel: str, data: Any) -> None:
        """Publish into a channel, whose options or hooks must allow it."""
        self.command("publish", channel=channel, data=data)

    def rpc(self, method: str, data: Any = None) -> Any:
        """Call a function of the application, and return its result. CommandError has the code of an RPCError."""
        return self.command("rpc", method=method, data=data).get("data")

    def send(self, data: Any) -> None:
        """Send the application a message, which has no reply."""
        self._send(msgspec.json.encode({"send": {"data": data}}))
        if not self.is_connected:
            raise self.closed or ConnectionClosed(DISCONNECTED)

    def presence(self, channel: str) -> dict[str, ClientInfo]:
        """Return the subscribers of a channel, by client ID."""
        presence = self.command("presence", channel=channel)["presence"]
        return {client: _client_info(info) for client, info in presence.items()}

    def presence_stats(self, channel: str) -> PresenceStats:
        """Return the numbers of connections and of users in a channel."""
        result = self.command("presence_stats", channel=channel)
        return PresenceStats(result["num_clients"], result["num_users"])

    def history(
        self, channel: str, limit: int = -1, since: StreamPosition | None = None, reverse: bool = False
    ) -> HistoryList:
        """Return at most `limit` messages of the history, -1 for all, oldest first, with the newest position."""
        request: dict[str, Any] = {"channel": channel, "limit": limit, "reverse": reverse}
        if since is not None:
            request["since"] = {"offset": since.offset, "epoch": since.epoch}
        result = self.command("history", **request)
        messages = [_message(channel, publication) for publication in result["publications"]]
        return HistoryList(messages, StreamPosition(result["offset"], result["epoch"]))

    def command(self, method: str, /, **request: Any) -> dict[str, Any]:
        """Send any command of the protocol (docs/protocol-v2.md), and return its result."""
        number = next(self._numbers)
        self._send(msgspec.json.encode({"id": number, method: request}))
        reply = self._replies.pop(number, None)
        if reply is None:
            raise self.closed or ConnectionClosed(DISCONNECTED)
        if "error" in reply:
            raise CommandError(reply["error"]["message"], reply["error"]["code"])
        result: dict[str, Any] = reply[method]
        return result

    def _sort(self) -> None:
        """Separate the received frames into pushes and replies."""
        received = self._transport.outbox.received
        while received:
            message = msgspec.json.decode(received.popleft())
            if "push" in message:
                self._pushes.append(_push(message["push"]))
            else:
                self._replies[message["id"]] = message

    @property
    def _key(self) -> str:
        return self._server.service.config.token_hmac_secret_key

    def _choose_token(self) -> str:
        """Return the token of the test or one for its user; empty without both."""
        if self._given_token is not None:
            return self._given_token
        return "" if self._user is None else connection_token(self._key, self._user, self._info)


def _recovery(since: StreamPosition) -> dict[str, Any]:
    return {"recover": True, "offset": since.offset, "epoch": since.epoch}


def _subscription_reply(channel: str, result: dict[str, Any]) -> SubscribedV2:
    position = StreamPosition(result.get("offset", 0), result["epoch"]) if "epoch" in result else None
    messages = [_message(channel, publication) for publication in result.get("publications", ())]
    return SubscribedV2(position, messages, result.get("recovered", False), result.get("data"))


def _push(push: dict[str, Any]) -> PushV2:
    channel = push.pop("channel", "")
    ((kind, body),) = push.items()
    info = _client_info(body["info"]) if "info" in body else None
    return PushV2(
        kind,
        channel,
        body.get("data"),
        info,
        body.get("tags"),
        body.get("offset", 0),
        body.get("code", 0),
        body.get("reason", ""),
    )


def _message(channel: str, publication: dict[str, Any]) -> HistoryMessage:
    info = _client_info(publication["info"]) if "info" in publication else None
    tags, offset = publication.get("tags"), publication.get("offset", 0)
    return HistoryMessage("", channel, publication.get("data"), info.client if info else "", info, tags, offset)


def _client_info(info: dict[str, Any]) -> ClientInfo:
    return ClientInfo(info.get("user", ""), info.get("client", ""), info.get("conn_info"), info.get("chan_info"))
