"""The Lua scripts that the engine runs in Redis; each says in its file what it does."""

from __future__ import annotations

import hashlib
from pathlib import Path


class Script:
    """One file in lua/; `beginning` names another one, with functions, that is put before it."""

    def __init__(self, name: str, beginning: str = "") -> None:
        names = [beginning, name] if beginning else [name]
        self.source = b"".join((Path(__file__).parent / "lua" / f"{part}.lua").read_bytes() for part in names)
        self.sha = hashlib.sha1(self.source, usedforsecurity=False).hexdigest()
        """The name Redis gives it."""


ENTER = Script("enter")
PUBLISH_AND_KEEP = Script("publish", beginning="stream_top")
READ_STREAM = Script("read_stream", beginning="stream_top")
ADD_PRESENCE = Script("add_presence")
REMOVE_PRESENCE = Script("remove_presence")
PRESENCE = Script("presence")
TAKE = Script("take")
RENEW = Script("renew")
FINISH = Script("finish")
OCCUPANCY = Script("occupancy")
SWEEP_OCCUPIED = Script("sweep_occupied")
SWEEP_TELLING = Script("sweep_telling")

ALL_SCRIPTS = (
    ENTER,
    PUBLISH_AND_KEEP,
    READ_STREAM,
    ADD_PRESENCE,
    REMOVE_PRESENCE,
    PRESENCE,
    TAKE,
    RENEW,
    FINISH,
    OCCUPANCY,
    SWEEP_OCCUPIED,
    SWEEP_TELLING,
)
