"""Passes commands of clients that arrive in separate requests to the node that has the client's connection.

A client whose connection carries only messages of the server sends its commands with POST requests. Each request
contains the node that has the connection, and the session, which is a secret. If it reaches another node, that node
sends the commands over the engine's control channel. They are never repeated, so no command is carried out twice.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Collection

import gevent
from gevent.event import Event

from ..model.errors import Refused
from ..runtime.log_throttle import ThrottledLog
from ..runtime.running_clock import wait_for
from .control import SessionInput, SessionInputTaken

log = logging.getLogger(__name__)

REPLY_TIMEOUT = 3.0
"""Seconds to wait for the node that has the connection."""


class UnknownNode(Exception):
    """No node with this uid exists."""


class SilentNode(Exception):
    """The node has not replied before the timeout, or is unreachable. It may have received the commands."""


class SessionRelay:
    """The sessions of this node, and the delivery of commands to sessions of other nodes.

    `own_uid` and `peers` return the uids of this node and of the other known nodes. `knows_all` returns whether these
    are all running nodes, which is false until every node has sent its next ping. `publish` sends a message to all
    nodes, or raises Refused.
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
        self._silent = ThrottledLog(log, logging.WARNING)

    def open(self, session: str, take: Callable[[bytes], None]) -> None:
        """Pass commands of a session to the function `take`, which must not block or raise."""
        self._sessions[session] = take

    def close(self, session: str) -> None:
        """Discard further commands of a session."""
        self._sessions.pop(session, None)

    def send(self, node: str, session: str, data: bytes) -> None:
        """Send commands to the session of a node. Blocks until that node has them, at most REPLY_TIMEOUT.

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
                if node not in self._peers():
                    raise UnknownNode
                message = "timeout: node %s has not confirmed commands of a client within %g s"
                self._silent.log(node, message, node, REPLY_TIMEOUT)
                raise SilentNode
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
        """Accept commands that another node has received. Does not block."""
        if message.to == self._own_uid():
            self._take(message.session, message.data)
            gevent.spawn(self._confirm, message.id)

    def handle_taken(self, message: SessionInputTaken) -> None:
        """Record that another node has accepted commands from this node. Does not block."""
        taken = self._awaited.get(message.id)
        if taken is not None:
            taken.set()

    def _confirm(self, id_: str) -> None:
        try:
            self._publish(SessionInputTaken(id_))
        except Refused:
            pass  # logged already
