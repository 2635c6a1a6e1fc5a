"""What travels through the server: publications, joins and leaves, and who caused them.

The floor everyone stands on. No protocol version shows here: how a publication
looks to a client is the business of its connection's encoding (see wire.py).
JSON from outside is kept as the bytes it came in and is never decoded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias


def user_id(user: object) -> str:
    """A user's id as the protocol has it, which is text; applications may have numbers.

    Raises TypeError for anything else, and ValueError for half of a surrogate pair, which UTF-8 has no bytes for.
    """
    if isinstance(user, int) and not isinstance(user, bool):
        return str(int(user))
    if not isinstance(user, str):
        raise TypeError(f"user is {user!r}; expected a string or a number")
    user.encode()
    return user


class RawClientInfo(NamedTuple):
    """Who a connection is: shown in presence, join, leave and in what the client publishes. JSON stays encoded.

    Applications get it decoded, as `gentrifugo.ClientInfo`.
    """

    user: str
    client: str
    default_info: bytes = b""
    """JSON given at connect, as it came; empty when there is none."""
    channel_info: bytes = b""
    """JSON given with the sign of a private channel, as it came; empty when there is none."""


class Publication(NamedTuple):
    """One message in one channel."""

    uid: str
    channel: str
    data: bytes
    """JSON, byte for byte as the publisher sent it."""
    client: str = ""
    """The client the publisher named, or the publishing client itself."""
    info: RawClientInfo | None = None
    """Who published, when a client did."""


class Join(NamedTuple):
    """A client subscribed on a channel that announces it (option join_leave)."""

    channel: str
    info: RawClientInfo


class Leave(NamedTuple):
    """A client left a channel that announces it (option join_leave)."""

    channel: str
    info: RawClientInfo


Event: TypeAlias = Publication | Join | Leave


class Encoding(NamedTuple):
    """How an event reaches one kind of connection: a protocol version over a kind of transport.

    Connections with the same encoding receive the same bytes object.
    """

    push: Callable[[Event], bytes]
    """The event as a message of the protocol version."""
    frame: Callable[[bytes], bytes]
    """The message as the transport puts it on the wire."""
