"""Figures of a node by protocol, transport, method and code, which only Prometheus and operators get.

The hot path only adds to integers here. No key comes from a peer unchecked: an application may choose the codes and
reasons of closes and errors, so only a limited number of them is counted separately.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from ..net.traffic import Traffic
from ..runtime.histogram import Histogram

MAX_CLOSES = 200
"""Kinds of closes, or of errors, that are counted apart; all further ones are counted as OTHER_KINDS."""
OTHER_KINDS = "other"
PEER_CLOSED = "closed by the client"
"""The reason of a connection that the server has not closed."""
UNKNOWN_PROTOCOL = "unknown"
"""The protocol of a connection that ended before its first message."""
UNKNOWN_METHOD = "unknown"
SEVERAL = "batch"
"""The method of a request with several commands."""


class TrafficKind(NamedTuple):
    """The key of the traffic counters: connections with the same transport and protocol are counted together."""

    transport: str
    protocol: str


class CloseKind(NamedTuple):
    """The reason for which connections were closed, with its protocol and code."""

    protocol: str
    code: int
    """0 if the client has closed the connection."""
    reason: str


class ErrorKind(NamedTuple):
    """A command and the error in its reply."""

    protocol: str
    method: str
    error: str
    """The code of the error, or in version 1 of the protocol its text."""


class HookKind(NamedTuple):
    """An event for which hooks are called, and what is called."""

    kind: str
    """`function`, `hook_url` or `proxy`."""
    event: str


class HookCalls:
    """The calls of hooks of one kind."""

    __slots__ = ("durations", "failures")

    def __init__(self) -> None:
        self.durations = Histogram()
        self.failures = 0
        """Calls without a decision: timeouts, exceptions, and backends without a valid response."""


class APIMethod(NamedTuple):
    """A method of a version of the API."""

    protocol: str
    name: str


class Breakdowns:
    """The figures of one node."""

    def __init__(self) -> None:
        self.traffic: defaultdict[TrafficKind, Traffic] = defaultdict(Traffic)
        self.client_commands: defaultdict[str, Histogram] = defaultdict(Histogram)
        """How long commands of clients took, by method."""
        self.api_requests: defaultdict[APIMethod, Histogram] = defaultdict(Histogram)
        """How long requests to the HTTP API took that were carried out; with several commands as SEVERAL."""
        self.api_commands: defaultdict[tuple[str, str], int] = defaultdict(int)
        """Commands of backends by protocol and method, wherever they came from."""
        self.closes: defaultdict[CloseKind, int] = defaultdict(int)
        self.client_errors: defaultdict[ErrorKind, int] = defaultdict(int)
        self.api_errors: defaultdict[ErrorKind, int] = defaultdict(int)
        self.unsubscribes: defaultdict[str, int] = defaultdict(int)
        """Subscriptions that the server has ended, by the code of version 2."""
        self.hooks: defaultdict[HookKind, HookCalls] = defaultdict(HookCalls)
        self.recoveries = {True: 0, False: 0}
        """Recoveries of clients, by whether they got everything that they had missed."""

    def note_close(self, protocol: str, code: int, reason: str) -> None:
        """Count a closed connection; a `code` of 0 stands for a close by the client."""
        kind = CloseKind(protocol, code, reason)
        if kind not in self.closes and len(self.closes) >= MAX_CLOSES:
            kind = CloseKind(protocol, code if 0 <= code < 4000 else 0, OTHER_KINDS)
        self.closes[kind] += 1

    def note_unsubscribe(self, code: int) -> None:
        """Count a subscription that the server has ended."""
        key = str(code)
        self.unsubscribes[key if key in self.unsubscribes or len(self.unsubscribes) < MAX_CLOSES else OTHER_KINDS] += 1

    def note_client_error(self, protocol: str, method: str, error: str) -> None:
        """Count an error in a reply to a client."""
        _note(self.client_errors, ErrorKind(protocol, method, error))

    def note_api_error(self, protocol: str, method: str, error: str) -> None:
        """Count an error in a reply to a backend."""
        _note(self.api_errors, ErrorKind(protocol, method, error))


def _note(errors: defaultdict[ErrorKind, int], kind: ErrorKind) -> None:
    if kind not in errors and len(errors) >= MAX_CLOSES:
        kind = kind._replace(error=OTHER_KINDS)
    errors[kind] += 1
