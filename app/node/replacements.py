"""Clients that connect and replace all other connections of their user: of several at the same time, one stays.

All nodes receive control messages in the same order, their own ones too. So the client whose message comes last stays:

- A client is registered only when its node has received its message. So a message closes all registered connections
  of the user, because their messages came before.
- A client that waits for its message is not affected by earlier messages: its own will close what these have kept.
- A client whose message has come, but which is not registered yet, is replaced by each later message. If the client of
  that message goes away before it is registered, none stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import gevent
from gevent.event import Event

from ...engines.base import EngineError
from ..runtime.random_ids import random_uuid
from ..runtime.running_clock import running_time, wait_for
from .engine_failures import EngineFailures
from .hub import Connection, Hub
from .user_commands import ReplaceConnections, disconnect_of

OWN_MESSAGE_TIMEOUT = 5.0
"""Seconds to wait until this node receives a message that it has sent. Usually it has come when `publish` returns."""
REPLACED_TIMEOUT = 5.0
"""Seconds to wait until the connections that are replaced have left. A slow engine delays this."""
REPLACED_CHECKS = 0.005
"""Seconds between two looks whether they have left."""


class _Candidate:
    """A client that is not registered yet."""

    __slots__ = ("is_replaced", "message_came", "replaced")

    def __init__(self) -> None:
        self.message_came = Event()
        """Set when this node has received the message of the client."""
        self.is_replaced = False
        """Whether the message of another client came later."""
        self.replaced: Sequence[Connection] = ()
        """The connections on this node that the client replaces."""


class Replacements:
    """Replaces the connections of users. `publish` sends a message to all nodes, or raises Refused."""

    def __init__(self, hub: Hub, publish: Callable[[ReplaceConnections], None], failures: EngineFailures) -> None:
        self._hub = hub
        self._publish = publish
        self._failures = failures
        self._candidates: dict[str, dict[str, _Candidate]] = {}
        """The candidates of each user by the IDs of their messages."""

    def replace(self, user: str, code: int, reason: str) -> bool:
        """Close all connections of a user on all nodes, with a close code, before a new one is registered. May block.

        Returns whether the new one stays. Then it must be registered before other greenlets run. Otherwise another
        client has replaced it. Raises Refused with INTERNAL_ERROR if the engine fails; it may have closed connections.
        """
        message, candidate = ReplaceConnections(user, random_uuid(), code, reason), _Candidate()
        candidates = self._candidates.setdefault(user, {})
        candidates[message.id] = candidate
        try:
            self._publish(message)
            if not wait_for(candidate.message_came, OWN_MESSAGE_TIMEOUT):
                error = EngineError(f"the message has not come back within {OWN_MESSAGE_TIMEOUT:g} s")
                raise self._failures.refusal("replace the connections of a user", error)
            self._wait_until_left(user, candidate.replaced)
        finally:
            del candidates[message.id]
            if not candidates:
                self._candidates.pop(user, None)
        return not candidate.is_replaced

    def handle(self, message: ReplaceConnections) -> None:
        """Carry out a message of any node, in the order in which the engine delivers messages. Does not block."""
        disconnect = disconnect_of(message.code, message.reason)
        connections = self._hub.user_connections(message.user)
        for connection in connections:
            gevent.spawn(connection.close, disconnect)
        for id_, candidate in self._candidates.get(message.user, {}).items():
            if id_ == message.id:
                candidate.replaced = connections
                candidate.message_came.set()
            elif candidate.message_came.is_set():
                candidate.is_replaced = True

    def _wait_until_left(self, user: str, connections: Sequence[Connection]) -> None:
        """Wait until connections have left the hub. Something else may have begun to close them before. May block."""
        deadline = running_time() + REPLACED_TIMEOUT
        while running_time() < deadline:
            present = self._hub.user_connections(user)
            if not any(connection in present for connection in connections):
                return
            gevent.sleep(REPLACED_CHECKS)
