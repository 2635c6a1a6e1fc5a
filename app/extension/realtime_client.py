"""A client for tests: a connection to the server of an application under test, without a socket (docs/testing.md).

It speaks version 1 of the protocol with the class that serves every other client.
"""

from __future__ import annotations

import itertools
import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from types import TracebackType
from typing import Any, NamedTuple

import msgspec
from flask import Flask
from flask.testing import EnvironBuilder, FlaskClient
from werkzeug.test import Client

from ..config.endpoints import WEBSOCKET_PATH
from ..http.head import HTTPError
from ..http.opening_request import Opening
from ..model import signing
from ..model.events import user_id
from ..net.flusher import Flusher
from ..net.outbox import Queue
from ..protocol.v1.client import ClientV1
from .backend import ClientInfo, CommandError, HistoryMessage
from .in_process import InProcessServer

RECEIVE_TIMEOUT = 1.0
"""Seconds that `receive` waits by default."""

DISCONNECTED = "the client has disconnected"
"""The reason for a command of a client that has left by itself."""


class ConnectionClosed(Exception):
    """The server has closed the connection, or has not accepted it.

    `reason` is the text of the protocol, such as `disconnect`. With `reconnect`, client libraries connect again.
    """

    def __init__(self, reason: str, reconnect: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.reconnect = reconnect


class Push(NamedTuple):
    """A message, join, leave or unsubscribe that the server sends to a client."""

    kind: str
    """`message`, `join`, `leave` or `unsubscribe`."""
    channel: str
    data: Any = None
    """Of a message: what was published."""
    uid: str = ""
    client: str = ""
    """Of a message: the id of the connection that published it; empty if a backend did."""
    info: ClientInfo | None = None
    """Who has published a message, if a client did; who has joined or left."""


class Subscribed(NamedTuple):
    """The reply to a subscription."""

    last: str
    """The uid of the last message in a channel that can be recovered."""
    messages: list[HistoryMessage]
    """What the client has missed, newest first."""
    recovered: bool
    """Whether that is all that it has missed."""


def _empty_response(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    start_response("204 No Content", [])
    return []


def _unframed(message: bytes) -> bytes:
    return message


class _Inbox(Queue):
    """Keeps the frames for one client, each by itself."""

    __slots__ = ("received",)

    def __init__(self, flusher: Flusher, limit: int) -> None:
        super().__init__(flusher, limit, lambda: None)
        self.received: deque[bytes] = deque()

    def write(self, data: bytes) -> None:
        self.received += self.frames
        self._flusher.frames_sent += len(self.frames)
        self._flusher.bytes_sent += self.size
        self.drop_waiting()

    def drop_waiting(self) -> None:
        self.frames, self.size = [], 0

    def fail(self, reason: str) -> None:
        self.drop_waiting()


class _Transport:
    """A transport that keeps frames instead of sending them."""

    frame = staticmethod(_unframed)
    binary_frame = None

    def stop_pings(self) -> None:
        """Do nothing: there are no pings."""

    def __init__(self, server: InProcessServer) -> None:
        node = server.service.node
        self.outbox = _Inbox(node.flusher, node.config.client_queue_max_size)
        self.close_reason: dict[str, Any] | None = None
        """The JSON of the close frame."""

    def close(self, code: int, reason: str) -> None:
        self.outbox.write(b"")
        self.close_reason = json.loads(reason)


class RealtimeClient:
    """A client of an application under test. Each method returns when the server has done what it asks.

    Methods raise CommandError when the server rejects a command, and ConnectionClosed when it has closed the
    connection. `connect` comes first; a `with` block connects, and disconnects at its end.
    """

    def __init__(
        self,
        app: Flask,
        server: InProcessServer,
        user: str | int | None,
        info: Any,
        http: FlaskClient | None,
        headers: Mapping[str, str] | None,
    ) -> None:
        self.id = ""
        """The id of the connection; empty before `connect`."""
        self._server = server
        self._user = None if user is None else user_id(user)
        self._info = "" if info is None else json.dumps(info)
        self._http = http or app.test_client()
        self._headers = {} if headers is None else dict(headers)
        self._client: ClientV1 | None = None
        self._transport = _Transport(server)
        self._pushes: deque[Push] = deque()
        self._replies: dict[str, dict[str, Any]] = {}
        self._numbers = itertools.count(1)

    def __enter__(self) -> RealtimeClient:
        return self.connect()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.disconnect()

    # -- the connection

    def connect(self) -> RealtimeClient:
        """Connect with a token for the user of the client, or without one, so that `on_connect` decides.

        Returns the client. A second call after the end of a connection opens another one.
        """
        if self.is_connected:
            raise RuntimeError("the client is already connected")
        service = self._server.service
        with self._server.running():
            opening = self._opening()
            try:
                service.origins.check(opening.headers.get("origin"), opening.headers.get("host", ""))
            except HTTPError as error:
                raise ConnectionClosed(error.reason) from None
            self._transport = _Transport(self._server)
            self._pushes.clear()
            self._client = ClientV1(service.node, self._transport, opening)
        self.id = self.command("connect", **self._credentials()).get("client", "")
        return self

    @property
    def is_connected(self) -> bool:
        """Whether the connection is open."""
        return self._client is not None and not self._client.closed

    @property
    def closed(self) -> ConnectionClosed | None:
        """Why the server has closed the connection; None if it has not."""
        reason = self._transport.close_reason
        return None if reason is None else ConnectionClosed(**reason)

    def disconnect(self) -> None:
        """Disconnect, like a browser that closes the page. A second call does nothing."""
        if self._client is not None:
            with self._server.running():
                self._client.close()

    def refresh(self) -> None:
        """Renew the connection: with a new token, or without one, so that `on_refresh` decides."""
        self.command("refresh", **self._credentials())

    # -- commands

    def subscribe(
        self, channel: str, recover: bool = False, last: str = "", sign: str = "", info: str = ""
    ) -> Subscribed:
        """Subscribe to a channel. With `recover`, the reply has what was published after the message `last`.

        For a private channel without `sign`, the client first asks the application for one, as a page does: with a
        POST to the path of option auth_endpoint.
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
        """The subscribers of a channel, by client id."""
        data: dict[str, Any] = self.command("presence", channel=channel)["data"]
        return {client: _client_info(info) for client, info in data.items()}

    def history(self, channel: str) -> list[HistoryMessage]:
        """The history of a channel, newest first."""
        return [_history_message(message) for message in self.command("history", channel=channel)["data"]]

    def command(self, method: str, **params: Any) -> dict[str, Any]:
        """Send any command of the protocol (docs/protocol.md); returns the body of the reply."""
        uid = str(next(self._numbers))
        client = self._client
        if client is None:
            raise RuntimeError("the client is not connected: call connect()")
        with self._server.running():
            client.handle(msgspec.json.encode({"uid": uid, "method": method, "params": params}))
        self._sort()
        reply = self._replies.pop(uid, None)
        if reply is None:
            raise self.closed or ConnectionClosed(DISCONNECTED)
        if "error" in reply:
            raise CommandError(reply["error"])
        body: dict[str, Any] = reply.get("body") or {}
        return body

    # -- what the server sends by itself

    def receive(self, timeout: float = RECEIVE_TIMEOUT) -> Push:
        """The next push. Raises TimeoutError when none arrives within `timeout` seconds."""
        self._server.wait_for(lambda: self._has_push() or not self.is_connected, timeout)
        if self._pushes:
            return self._pushes.popleft()
        if not self.is_connected:
            raise self.closed or ConnectionClosed(DISCONNECTED)
        raise TimeoutError(f"the server has sent nothing within {timeout:g} s")

    def receive_all(self) -> list[Push]:
        """All pushes that have arrived and were not received yet; does not wait."""
        with self._server.running():
            pass
        self._sort()
        pushes = list(self._pushes)
        self._pushes.clear()
        return pushes

    def wait_closed(self, timeout: float = RECEIVE_TIMEOUT) -> ConnectionClosed:
        """Why the server has closed the connection. Raises TimeoutError when it does not within `timeout` seconds."""
        if not self._server.wait_for(lambda: self.closed, timeout):
            raise TimeoutError(f"the server has not closed the connection within {timeout:g} s")
        assert self.closed is not None
        return self.closed

    def _has_push(self) -> bool:
        self._sort()
        return bool(self._pushes)

    def _sort(self) -> None:
        """Keep what has arrived as pushes and as replies."""
        received = self._transport.outbox.received
        while received:
            message = json.loads(received.popleft())
            if "uid" in message:
                self._replies[message["uid"]] = message
            else:
                self._pushes.append(_push(message))

    # -- what a page knows

    def _opening(self) -> Opening:
        """The handshake of a WebSocket, with the cookies and headers that the HTTP client sends."""
        path = self._server.service.config.http_prefix + WEBSOCKET_PATH
        # A client shows its cookies only in a request. This one must not reach the application: a server passes
        # handshakes by it, too.
        client = copy(self._http)
        client.application = _empty_response  # type: ignore[assignment]
        environ = EnvironBuilder(
            self._http.application, path, headers=self._headers, environ_base=self._http.environ_base
        )
        request = Client.open(client, environ).request
        headers = {name.lower(): value for name, value in request.headers.items()}
        return Opening("GET", path, headers, request.remote_addr or "", request.scheme)

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
