"""The events that the server distributes: publications, joins and leaves, with the client that caused them.

Independent of protocol versions: the encoding of a connection (wire.py) defines how a client sees an event. JSON from
peers is kept as the received bytes and is never decoded here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias


def user_id(user: object) -> str:
    """Convert the user ID of an application, a string or an integer, to the string of the protocol.

    Raises TypeError for anything else, and ValueError for half of a surrogate pair, which UTF-8 has no bytes for.
    """
    if isinstance(user, int) and not isinstance(user, bool):
        return str(int(user))
    if not isinstance(user, str):
        raise TypeError(f"user is {user!r}; expected a string or a number")
    user.encode()
    return user


class RawClientInfo(NamedTuple):
    """Identity of a connection: client ID, user ID and info, shown in presence, join, leave and publications.

    JSON stays encoded. Applications get it decoded, as `gentrifugo.ClientInfo`.
    """

    user: str
    client: str
    default_info: bytes = b""
    """JSON given at connect, as it came; empty when there is none."""
    channel_info: bytes = b""
    """JSON given with the sign of a private channel, as it came; empty when there is none."""


class StreamPosition(NamedTuple):
    """A place in the stream of a channel: the publication with this offset has been received, and all before it."""

    offset: int
    """Number of the publication in its channel, from 1 on; 0 before the first one."""
    epoch: str
    """Identifies one continuous stream. It changes whenever publications may have been lost. Opaque to clients."""


class Publication(NamedTuple):
    """One message that is published in a channel."""

    uid: str
    channel: str
    data: bytes
    """JSON, byte for byte as the publisher sent it."""
    client: str = ""
    """The client the publisher named, or the publishing client itself."""
    info: RawClientInfo | None = None
    """Who published, when a client did."""
    tags: Mapping[str, str] | None = None
    """What the backend has added for filters and clients; version 1 of the protocol does not show it."""
    offset: int = 0
    """Its number in the stream of the channel, which the engine gives; 0 if it is not kept in the history."""
    epoch: str = ""
    """The epoch of the stream in which it has this offset; empty if it is not kept."""


OFFSET = Publication._fields.index("offset")
"""Where the position of a publication begins among its fields."""


class Join(NamedTuple):
    """A client subscribed on a channel that announces it (option join_leave)."""

    channel: str
    info: RawClientInfo


class Leave(NamedTuple):
    """A client left a channel that announces it (option join_leave)."""

    channel: str
    info: RawClientInfo


Event: TypeAlias = Publication | Join | Leave


class Unsendable(Exception):
    """Raised for an event that some subscribers have no way to receive, because of what it holds."""


class Encoding(NamedTuple):
    """How the events of a channel reach one kind of subscriber: a protocol version over a kind of transport.

    Subscribers with the same encoding receive the same bytes object.
    """

    push: Callable[[Event], bytes]
    """The event as a message of the protocol version; empty for an event that these subscribers do not receive.

    Raises Unsendable for an event after which these subscribers are disconnected.
    """
    frame: Callable[[bytes], bytes]
    """The message as the transport puts it on the wire."""
    is_positioned: bool = False
    """Whether these subscribers count on receiving every publication of the stream, in order and once."""
    passes: Callable[[Event], bool] | None = None
    """Which events these subscribers receive; None for all. It is called once for each event and distinct filter."""
    then: Encoding | None = None
    """How these subscribers receive what follows the next publication; None for the same way."""
