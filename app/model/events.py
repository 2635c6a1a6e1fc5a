"""The events that the server distributes: publications, joins and leaves, with the client that caused them.

Independent of protocol versions: the encoding of a connection (wire.py) defines how a client sees an event. JSON from
peers is kept as the received bytes and is never decoded here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias


def user_id(user: object) -> str:
    """Convert the user ID of an application, a string or an integer, to the string of the protocol.

    Raises TypeError for other types, and ValueError for half of a surrogate pair, which UTF-8 cannot encode.
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
    """The unchanged JSON of the connection, from its credentials; empty for none."""
    channel_info: bytes = b""
    """The unchanged JSON of the subscription, which a backend has signed; empty for none."""


class StreamPosition(NamedTuple):
    """A position in the stream of a channel, after the publication with this offset."""

    offset: int
    """Number of the publication in its channel, from 1 on; 0 before the first one."""
    epoch: str
    """Identifies one continuous stream. It changes whenever publications may have been lost."""


class Publication(NamedTuple):
    """One message that is published in a channel."""

    uid: str
    channel: str
    data: bytes
    """JSON, byte for byte as the publisher sent it."""
    client: str = ""
    """The ID of the client that published it, or the one that a backend has given."""
    info: RawClientInfo | None = None
    """The client that published it; None if a backend did."""
    tags: Mapping[str, str] | None = None
    """Tags that a backend has added, for filters and clients. Clients of version 1 do not receive them."""
    offset: int = 0
    """Its number in the stream of the channel, set by the engine; 0 if it is not stored in the history."""
    epoch: str = ""
    """The epoch of the stream in which it has this offset; empty if it is not stored in the history."""


OFFSET = Publication._fields.index("offset")
"""The index of `offset` among the fields of a publication; `epoch` follows."""


class Join(NamedTuple):
    """A client has subscribed to a channel with option join_leave."""

    channel: str
    info: RawClientInfo


class Leave(NamedTuple):
    """A client has unsubscribed from a channel with option join_leave."""

    channel: str
    info: RawClientInfo


Event: TypeAlias = Publication | Join | Leave


class Unsendable(Exception):
    """Raised for an event that some subscribers cannot receive, because their format cannot carry its payload."""


class Encoding(NamedTuple):
    """How the events of a channel reach one kind of subscriber: a protocol version over a kind of transport.

    Subscribers with the same encoding receive the same bytes object.
    """

    push: Callable[[Event], bytes]
    """The event as a message of the protocol version; empty for an event that these subscribers do not receive.

    Raises Unsendable for an event after which these subscribers are disconnected.
    """
    frame: Callable[[bytes], bytes]
    """Frames the message for the transport."""
    is_positioned: bool = False
    """Whether these subscribers must receive every publication of the stream, in order and once."""
    passes: Callable[[Event], bool] | None = None
    """The filter for these subscribers; None for none. It is called once for each event and distinct filter."""
    then: Encoding | None = None
    """The encoding for these subscribers after the next publication; None if it does not change."""
