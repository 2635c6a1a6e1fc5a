"""Clients for later versions of Centrifugo, recognized by their first message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import msgspec

from ...http.newer_versions import FOR_CLIENTS
from ...model.errors import Disconnect


@dataclass(frozen=True)
class CloseOfNewerProtocol(Disconnect):
    """Ends the connection of a client for a later version."""

    code: ClassVar[int] = 3501
    """The code with which later versions end a connection for a bad request, so that the client does not return."""


CLOSE_NEWER_PROTOCOL = CloseOfNewerProtocol(FOR_CLIENTS)


class _Numbered(msgspec.Struct):
    """A command of a later protocol: it has a number, and no method or, in Centrifugo 2, the number of one."""

    id: int
    method: int = 0


_numbered = msgspec.json.Decoder(_Numbered)


def is_newer(message: bytes) -> bool:
    """Whether a client's first message is of a later protocol: commands in JSON, one in each line."""
    try:
        _numbered.decode(message.partition(b"\n")[0])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True
