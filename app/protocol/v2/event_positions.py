"""The ids of events, with which a one-way client reconnects: the positions that it has reached in its channels.

An id has a part for each channel that recovers: a hash of its name, a hash of its epoch, and an offset. So it does not
grow with the names, and no position is valid in another channel or epoch. A browser sends only the id of the last
event. So each id has the positions in all channels, and differs between clients with several channels.

A message with an id is the id, a line break, and the message itself, which contains no line break.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from hashlib import blake2b

from ...model.events import Publication, StreamPosition
from .protobuf_wire import MAX_UINT64

HASH_BYTES = 6
"""Bytes of a hash. A wrong position would need equal hashes of two names and of two epochs."""
HASH_SIZE = HASH_BYTES * 4 // 3
"""Characters of a hash."""
MAX_POSITIONS = 128
"""Channels in one id. The positions in further ones are left out: what was missed there cannot be recovered."""

_SEPARATOR = b"."
_PART = re.compile(rf"([\w-]{{{HASH_SIZE}}})([\w-]{{{HASH_SIZE}}})(\d{{1,20}})", re.ASCII)
_MAX_ID_SIZE = MAX_POSITIONS * (2 * HASH_SIZE + 20 + len(_SEPARATOR))


def id_of(publication: Publication) -> bytes:
    """Return the id of a publication for a client that has no other channel with positions."""
    return _part(publication.channel, StreamPosition(publication.offset, publication.epoch))


def with_id(id_: bytes, message: bytes) -> bytes:
    """Return a message with an id."""
    return b"%b\n%b" % (id_, message)


def split_id(message: bytes) -> tuple[bytes | None, bytes]:
    """Return the id of a message, None if it has none, and the message itself."""
    id_, found, text = message.rpartition(b"\n")
    return (id_ if found else None), text


class LastEvent:
    """The positions in the id that a client sends; none if the id is invalid."""

    __slots__ = ("_positions",)

    def __init__(self, id_: str) -> None:
        parts = id_.split(_SEPARATOR.decode()) if len(id_) <= _MAX_ID_SIZE else []
        found = [match for part in parts if (match := _PART.fullmatch(part)) is not None]
        is_valid = len(found) == len(parts) and all(int(part[3]) <= MAX_UINT64 for part in found)
        self._positions = {part[1]: (part[2], int(part[3])) for part in found} if is_valid else {}

    def offset(self, channel: str, epoch: str) -> int | None:
        """Return the offset that the client has reached in this epoch of a channel; None if the id has none."""
        hashed, offset = self._positions.get(_hash(channel).decode(), ("", 0))
        return offset if hashed == _hash(epoch).decode() else None


class EventPositions:
    """The positions that one client has reached. `frame` converts a message with an id for the transport."""

    __slots__ = ("shared", "_frame", "_is_changed", "_is_stopped", "_parts")

    def __init__(self, frame: Callable[[bytes], bytes]) -> None:
        self.shared = ""
        """The live channel whose publications do not come through `frame`: their ids are the same for all clients."""
        self._frame = frame
        self._is_changed = False
        self._is_stopped = False
        self._parts: dict[bytes, bytes] = {}

    @property
    def has_several(self) -> bool:
        """Whether this client has several channels with positions, so that ids must be completed."""
        return len(self._parts) > 1

    def start(self, positions: Mapping[str, StreamPosition]) -> None:
        """Add channels, or set the positions in these channels. The id of the next message contains them."""
        for channel, position in positions.items():
            self.set_position(channel, position)
        self._is_changed = self._is_changed or bool(positions)

    def set_position(self, channel: str, position: StreamPosition) -> None:
        """Record the position in a channel that the client has reached by messages that were not passed to `frame`."""
        self._note(_part(channel, position))

    def end(self, channel: str) -> None:
        """Remove a channel. The id of the next message does not contain it."""
        if channel == self.shared:
            self.shared = ""
        if self._parts.pop(_hash(channel), None) is not None:
            self._is_changed = True

    def stop(self) -> None:
        """Send all further messages without an id, because a publication is missing."""
        self._is_stopped = True

    def frame(self, message: bytes) -> bytes:
        """Return the next message, framed for the outbox. Its id, if any, gets the positions in other channels."""
        id_, text = split_id(message)
        if id_ is not None:
            self._note(id_)
        elif not self._is_changed:
            return self._frame(message)
        if self._is_stopped:
            return self._frame(text)
        self._is_changed = False
        return self._frame(with_id(_SEPARATOR.join([name + rest for name, rest in self._parts.items()]), text))

    def _note(self, part: bytes) -> None:
        name = part[:HASH_SIZE]
        if name in self._parts or len(self._parts) < MAX_POSITIONS:
            self._parts[name] = part[HASH_SIZE:]


def _part(channel: str, position: StreamPosition) -> bytes:
    return b"%b%b%d" % (_hash(channel), _hash(position.epoch), position.offset)


def _hash(text: str) -> bytes:
    return urlsafe_b64encode(blake2b(text.encode(), digest_size=HASH_BYTES).digest())
