"""Logs why commands of clients and backends are refused, because a reply has only the text that belongs to its code."""

from __future__ import annotations

import logging
from collections import defaultdict
from functools import partial
from typing import Protocol

from ..http.opening_request import Opening
from ..model.errors import Refused
from ..runtime.log_throttle import ThrottledLog, kind_of

log = logging.getLogger(__name__)

MAX_LOGGED_REFUSALS = 10
"""Maximum number of addresses of clients whose refusals for one reason are logged in ten seconds."""
MAX_LOGGED_COMMANDS = 20
"""Maximum number of commands of backends that are logged in ten seconds, if they differ in method or reason."""
MAX_LOGGED_REASONS = 100
"""Maximum number of reasons that are distinguished."""
MAX_LOGGED_TEXT = 200
"""Maximum characters of a text from a peer in a log line."""


class RefusedClient(Protocol):
    """The data of a client that is logged with its refused command."""

    uid: str
    user: str
    authenticated: bool

    @property
    def address(self) -> str:
        """The address of the client; empty if it is not known."""

    @property
    def ids(self) -> dict[str, str]:
        """The IDs of the client and user, for structured log lines."""


class AskedContext(Protocol):
    """The data of an event about which a hook decides."""

    @property
    def event(self) -> str:
        """The name of the event."""

    @property
    def user(self) -> str | int | None:
        """The ID of the user; None if it is not known."""

    @property
    def client(self) -> str:
        """The ID of the connection, which a page may have sent."""

    @property
    def opening(self) -> Opening | None:
        """The request that opened the connection; None if it is not known."""


class Refusals:
    """Logs refused commands, throttled by reason and peer. Nothing is logged without a detail, which says why."""

    def __init__(self) -> None:
        # One for each reason, so that clients which cause one of them cannot suppress the lines about others.
        throttled = partial(ThrottledLog, log, logging.INFO, max_keys=MAX_LOGGED_REFUSALS)
        self._clients: defaultdict[str, ThrottledLog] = defaultdict(throttled)
        self._hooks: defaultdict[str, ThrottledLog] = defaultdict(throttled)  # by event and hook: no peer invents them
        self._backends = ThrottledLog(log, logging.INFO, max_keys=MAX_LOGGED_COMMANDS)

    def note_client(self, client: RefusedClient, method: str, channel: str, error: str, detail: str) -> None:
        """Log that a command of a client in a channel is answered with an error."""
        if detail:
            where = f"{method} {channel[:MAX_LOGGED_TEXT]!r}" if channel else method
            self._log_client(client, f"{error} {method} {detail}", f"{where} refused with {error!r}", detail)

    def note_closed(self, client: RefusedClient, reason: str) -> None:
        """Log why a connection is closed or refused, if a backend or the configuration may be the cause.

        `reason` begins with that of the close.
        """
        what = "connection closed" if client.authenticated else "connection refused"
        self._log_client(client, f"{what} {reason}", what, reason)

    def note_hook(self, context: AskedContext, hook: str, decision: str, reason: str) -> None:
        """Log that the hook with the name `hook` has not allowed what a client requests, for example that it connects.

        `decision` is "refused" or "disconnected"; `reason` is the text that the client receives.
        """
        address = context.opening.address if context.opening is not None else ""
        user = "" if context.user is None else str(context.user)[:MAX_LOGGED_TEXT]
        message = "client %s (user %r, address %s) %s by the hook %s for %s: %s"
        arguments = (
            _printable(context.client) or "unknown",
            user,
            address or "unknown",
            decision,
            hook,
            context.event,
            _printable(reason),
        )
        # Not by the reason, in which a hook may put texts of clients.
        self._log(self._hooks[f"{context.event} {hook}"], address, message, arguments, _ids(context.client, user))

    def _log_client(self, client: RefusedClient, reason: str, what: str, detail: str) -> None:
        message = "client %s (user %r, address %s): %s: %s"
        address = client.address or "unknown"
        arguments = client.uid, client.user[:MAX_LOGGED_TEXT], address, what, detail[:MAX_LOGGED_TEXT]
        self._log(self._throttle(reason), address, message, arguments, client.ids)

    def _log(
        self, throttle: ThrottledLog, address: str, message: str, arguments: tuple[str, ...], ids: dict[str, str]
    ) -> None:
        """Log at level INFO, or at level DEBUG if there are too many lines."""
        if not throttle.log(address, message, *arguments, extra=ids):
            log.debug(message, *arguments, extra=ids)

    def _throttle(self, reason: str) -> ThrottledLog:
        kind = kind_of(reason)
        return self._clients[kind if kind in self._clients or len(self._clients) < MAX_LOGGED_REASONS else ""]

    def note_nameless(self, api: str) -> None:
        """Log that a command of a backend at the path `api` has no method, because its body is that of another path."""
        self._backends.log(
            "without a method",
            "refused a command of a backend: a command without a method at %s; the path of publish is %s/publish",
            api,
            api,
        )

    def note_backend(self, method: str, refused: Refused) -> None:
        """Log what is wrong with a command of a backend."""
        if refused.detail:
            detail = refused.detail[:MAX_LOGGED_TEXT]
            self._backends.log(f"{method} {detail}", 'refused a command "%s" of a backend: %s', method, detail)


def _ids(client: str, user: str) -> dict[str, str]:
    return {"client": client[:MAX_LOGGED_TEXT], "user": user}


def _printable(text: str) -> str:
    """Return the beginning of a text for a log line; quoted if it has line breaks or other control characters."""
    text = text[:MAX_LOGGED_TEXT]
    return text if text.isprintable() else repr(text)
