"""The Lua scripts that the engine runs in Redis; each file describes what its script does."""

from __future__ import annotations

import hashlib
from pathlib import Path


class Script:
    """A script in the directory lua/; `beginning` names a file with functions that is inserted before it."""

    def __init__(self, name: str, beginning: str = "") -> None:
        names = [beginning, name] if beginning else [name]
        self.source = b"".join((Path(__file__).parent / "lua" / f"{part}.lua").read_bytes() for part in names)
        self.sha = hashlib.sha1(self.source, usedforsecurity=False).hexdigest()
        """The hash with which Redis identifies the script."""


ENTER = Script("enter")
PUBLISH_AND_KEEP = Script("publish", beginning="stream_top")
READ_STREAM = Script("read_stream", beginning="stream_top")
ADD_PRESENCE = Script("add_presence")
REMOVE_PRESENCE = Script("remove_presence")
PRESENCE = Script("presence")
COUNT_PRESENCE = Script("count_presence")
TAKE = Script("take")
RENEW = Script("renew")
FINISH = Script("finish")
OCCUPANCY = Script("occupancy")
SWEEP_OCCUPIED = Script("sweep_occupied")
SWEEP_REPORTING = Script("sweep_reporting")

ALL_SCRIPTS = (
    ENTER,
    PUBLISH_AND_KEEP,
    READ_STREAM,
    ADD_PRESENCE,
    REMOVE_PRESENCE,
    PRESENCE,
    COUNT_PRESENCE,
    TAKE,
    RENEW,
    FINISH,
    OCCUPANCY,
    SWEEP_OCCUPIED,
    SWEEP_REPORTING,
)
