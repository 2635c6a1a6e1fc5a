"""Commands of clients that arrive in other requests than the connection that they are for, perhaps at another node.

A client whose connection carries only what the server sends posts its commands. Each of these requests names the node
that has the connection, and the session, which is a secret. A request that reaches another node goes to that one over
the engine's control channel, once: it is never repeated, so that no command is carried out twice.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Collection

import gevent
from gevent.event import Event

from ..model.errors import Refused
from ..runtime.running_clock import wait_for
from .control import SessionInput, SessionInputTaken

log = logging.getLogger(__name__)

REPLY_TIMEOUT = 3.0
"""Seconds to wait for the node that has the connection."""


class UnknownNode(Exception):
    """There is no node with this uid."""


class SilentNode(Exception):
    """The node has not replied in time, or cannot be reached; whether it has the commands is not known."""


class SessionRelay:
    """The sessions of this node, and the way to those of others.

    `own_uid` and `peers` are the uids of this node and of the other nodes that are known. `knows_all` says whether all
    running nodes are among these: not at the start, since each of them introduces itself with its next ping. `publish`
    sends to all nodes, or raises Refused.
    """

    def __init__(
        self,
        own_uid: Callable[[], str],
        peers: Callable[[], Collection[str]],
        knows_all: Callable[[], bool],
        publish: Callable[[SessionInput | SessionInputTaken], None],
    ) -> None:
        self._own_uid = own_uid
        self._peers = peers
        self._knows_all = knows_all
        self._publish = publish
        self._sessions: dict[str, Callable[[bytes], None]] = {}
        self._awaited: dict[str, Event] = {}

    def open(self, session: str, take: Callable[[bytes], None]) -> None:
        """Give the commands of a session to `take` from now on; it may not block or raise."""
        self._sessions[session] = take

    def close(self, session: str) -> None:
        """Discard the commands of a session from now on."""
        self._sessions.pop(session, None)

    def send(self, node: str, session: str, data: bytes) -> None:
        """Give commands to the session of a node. Blocks until that node has them, for REPLY_TIMEOUT at most.

        Commands for a session that the node does not have are discarded. Raises UnknownNode and SilentNode.
        """
        if node == self._own_uid():
            self._take(session, data)
        elif node and (node in self._peers() or not self._knows_all()):
            self._ask(node, session, data)
        else:
            raise UnknownNode

    def _ask(self, node: str, session: str, data: bytes) -> None:
        id_, taken = str(uuid.uuid4()), Event()
        self._awaited[id_] = taken
        try:
            self._publish(SessionInput(id_, node, session, data))
            if not wait_for(taken, REPLY_TIMEOUT):
                log.debug("node %s has not replied to the commands of a client", node)
                raise SilentNode if node in self._peers() else UnknownNode
        except Refused:  # logged already
            raise SilentNode from None
        finally:
            del self._awaited[id_]

    def _take(self, session: str, data: bytes) -> None:
        take = self._sessions.get(session)
        if take is not None:
            take(data)

    # -- control messages

    def handle_input(self, message: SessionInput) -> None:
        """Take the commands that another node has received. Does not block."""
        if message.to == self._own_uid():
            self._take(message.session, message.data)
            gevent.spawn(self._confirm, message.id)

    def handle_taken(self, message: SessionInputTaken) -> None:
        """Note that another node has taken commands that were received here. Does not block."""
        taken = self._awaited.get(message.id)
        if taken is not None:
            taken.set()

    def _confirm(self, id_: str) -> None:
        try:
            self._publish(SessionInputTaken(id_))
        except Refused:
            pass  # logged already
