"""The known nodes: the last ping of each, and when it arrived."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, NamedTuple

import msgspec

Int64Value = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""A signed number of 64 bits, the range that readers of `stats` can represent."""


class NodeInfo(msgspec.Struct):
    """The data of a node that `stats` and `node` show."""

    uid: str
    name: str
    started_at: Int64Value
    """Unix seconds."""
    metrics: dict[str, Int64Value]


class NodeDetails(msgspec.Struct, frozen=True):
    """Further data of a node in its pings, which `stats` and `node` do not show."""

    version: str = ""
    """Empty for a release that does not send it."""
    num_subscriptions: Int64Value = 0


NO_DETAILS = NodeDetails()


class KnownNode(NamedTuple):
    """The content of the last ping of a node."""

    info: NodeInfo
    details: NodeDetails
    received_at: float
    """The time when the ping arrived, by the clock of the registry."""


class NodeRegistry:
    """The known nodes by uid; `clock` is a monotonic clock in seconds."""

    def __init__(self, own_uid: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._own_uid = own_uid
        self._clock = clock
        self._nodes: dict[str, KnownNode] = {}
        self._watching: set[str] = set()

    def add(self, info: NodeInfo, watching: bool = False, details: NodeDetails = NO_DETAILS) -> None:
        """Store the ping of a node; `watching` says whether an operator watches messages there."""
        self._nodes[info.uid] = KnownNode(info, details, self._clock())
        if watching:
            self._watching.add(info.uid)
        else:
            self._watching.discard(info.uid)

    def forget_silent(self, max_age: float) -> None:
        """Remove the nodes without a ping for `max_age` seconds, except this one."""
        oldest = self._clock() - max_age
        for uid, known in list(self._nodes.items()):
            if known.received_at < oldest and uid != self._own_uid:
                del self._nodes[uid]
                self._watching.discard(uid)

    @property
    def peers(self) -> list[str]:
        """The uids of all other nodes."""
        return [uid for uid in self._nodes if uid != self._own_uid]

    @property
    def peers_watch(self) -> bool:
        """Whether an operator watches messages on another node."""
        return bool(self._watching - {self._own_uid})

    def nodes(self) -> list[NodeInfo]:
        """Return the data of all known nodes."""
        return [known.info for known in self._nodes.values()]

    def known(self) -> list[KnownNode]:
        """Return all known nodes, with their details."""
        return list(self._nodes.values())
