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
    process_id: Int64Value = 0
    """0 for a release that does not send it."""


NO_DETAILS = NodeDetails()

LOST_FOR = 900.0
"""Seconds for which operators are told of a node that has stopped to report without leaving."""
MAX_LOST = 100
"""Lost nodes that are remembered; the latest ones remain."""


class KnownNode(NamedTuple):
    """The content of the last ping of a node."""

    info: NodeInfo
    details: NodeDetails
    received_at: float
    """The time when the ping arrived, by the clock of the registry."""
    reported_at: float
    """When the last ping of the node arrived, in Unix seconds."""


class NodeRegistry:
    """The known nodes by uid; `clock` is a monotonic clock in seconds."""

    def __init__(self, own_uid: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._own_uid = own_uid
        self._clock = clock
        self._nodes: dict[str, KnownNode] = {}
        self._lost: dict[str, KnownNode] = {}
        self._replacements: set[str] = set()
        """The nodes that were started in the place of a lost one; each has replaced only one."""
        self._watching: set[str] = set()

    def add(self, info: NodeInfo, watching: bool = False, details: NodeDetails = NO_DETAILS) -> None:
        """Store the ping of a node; `watching` says whether an operator watches messages there."""
        if info.uid not in self._nodes:
            self._end_loss(info, details)
        self._nodes[info.uid] = KnownNode(info, details, self._clock(), time.time())
        if watching:
            self._watching.add(info.uid)
        else:
            self._watching.discard(info.uid)

    def _end_loss(self, info: NodeInfo, details: NodeDetails) -> None:
        """Forget the loss of this node, or else of one that it replaces."""
        if self._lost.pop(info.uid, None) is None:
            lost = self._lost.items()
            replaced = next((uid for uid, known in lost if _could_replace(info, details, known)), None)
            if replaced is not None:
                del self._lost[replaced]
                self._replacements.add(info.uid)

    def _find_replacement(self, lost: KnownNode) -> bool:
        """Return whether a node has been started in the place of this one, before the loss was noticed."""
        for uid, known in self._nodes.items():
            if uid not in self._replacements and _could_replace(known.info, known.details, lost):
                self._replacements.add(uid)
                return True
        return False

    def remove(self, uid: str) -> None:
        """Remove a node that has left; it is not lost."""
        self._nodes.pop(uid, None)
        self._replacements.discard(uid)
        self._watching.discard(uid)

    def forget_silent(self, max_age: float) -> None:
        """Remove the nodes without a ping for `max_age` seconds, except this one. They are lost if not replaced."""
        now = self._clock()
        for uid, known in list(self._nodes.items()):
            if known.received_at < now - max_age and uid != self._own_uid:
                self.remove(uid)
                if not self._find_replacement(known):
                    self._lost[uid] = known
        lost = [(uid, known) for uid, known in self._lost.items() if known.received_at >= now - max_age - LOST_FOR]
        self._lost = dict(lost[-MAX_LOST:])

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

    def known_or_lost(self) -> list[KnownNode]:
        """Return all known nodes, and those that were lost in the last LOST_FOR seconds."""
        return [*self._nodes.values(), *self._lost.values()]


def _could_replace(info: NodeInfo, details: NodeDetails, lost: KnownNode) -> bool:
    """Return whether a node was started with the name of a lost one, after the last ping of that one.

    Several nodes may have the same name: it is only by default that names differ. The start is known in whole seconds,
    by the clock of the other machine.
    """
    before = _name_before_process_id(info, details)
    is_same = info.name == lost.info.name or (before and before == _name_before_process_id(lost.info, lost.details))
    return bool(is_same) and info.started_at >= int(lost.reported_at)


def _name_before_process_id(info: NodeInfo, details: NodeDetails) -> str:
    """Return the name of a worker of gunicorn without its process ID; empty if the name does not end with that."""
    end = f"_{details.process_id}"
    return info.name.removesuffix(end) if details.process_id and info.name.endswith(end) else ""
