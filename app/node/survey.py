"""Questions to all nodes that only all together can answer: who is a user, who listens where, what each node counts.

The node that asks collects what the others say and waits no longer than `ANSWER_LIMIT`:
a node that is silent costs its answer, not the question.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from heapq import nlargest

import gevent
from gevent.event import Event

from ..config.config import Config
from ..model.errors import Refused
from ..runtime.yielding import give_turn
from .control import Answer, Question, UserConnection
from .hub import Hub
from .registry import NodeInfo

log = logging.getLogger(__name__)

ANSWER_LIMIT = 1.0
"""Seconds to wait for the other nodes."""
ANSWER_SHARE = 1 / 3
"""Part of node_ping_interval to wait at most, so that whoever asks again and again sees soon that a node is gone."""
MOST = 1000
"""Connections, or channels, that one node tells of at most."""


class Survey:
    """One question on its way: who has yet to answer, and what was said."""

    def __init__(self, asked: Collection[str]) -> None:
        self.answers: list[Answer] = []
        self._missing = set(asked)
        self._complete = Event()
        if not asked:
            self._complete.set()

    def add(self, node: str, answer: Answer) -> None:
        """A node has answered."""
        if node in self._missing:
            self._missing.remove(node)
            self.answers.append(answer)
        if not self._missing:
            self._complete.set()

    def wait(self, timeout: float) -> None:
        """Until all have answered, or the time is up."""
        self._complete.wait(timeout)


class Surveys:
    """Asks and answers for one node. `send` hands a message to all nodes, or raises Refused."""

    def __init__(
        self,
        hub: Hub,
        config: Callable[[], Config],
        info: Callable[[], NodeInfo],
        peers: Callable[[], Collection[str]],
        send: Callable[[Question | Answer], None],
    ) -> None:
        self._hub = hub
        self._config = config
        self._info = info
        self._peers = peers
        self._send = send
        self._open: dict[str, Survey] = {}

    # -- asking

    def connections(self, user: str) -> list[UserConnection]:
        """The connections of a user on all nodes, up to `MOST` of each."""
        return [found for answer in self._ask(Question(_new_id(), user=user)) for found in answer.connections]

    def subscribers(self, part: str) -> Mapping[str, int]:
        """How many subscribers channels have on all nodes together: of those whose name contains `part`.

        Each node tells of the `MOST` channels that have the most there.
        """
        total: Counter[str] = Counter()
        for answer in self._ask(Question(_new_id(), channels=part)):
            total.update(answer.subscribers)
        return dict(total.most_common(MOST))

    def nodes(self) -> list[NodeInfo]:
        """The nodes that answer, with their counters as they are now."""
        return [answer.info for answer in self._ask(Question(_new_id(), info=True)) if answer.info is not None]

    def _ask(self, question: Question) -> list[Answer]:
        survey = self._open[question.id] = Survey(self._peers())
        try:
            if not self._peers():
                return [self._answer(question)]
            self._send(question)
            own = self._answer(question)
            survey.wait(min(ANSWER_LIMIT, ANSWER_SHARE * self._config().node_ping_interval))
        except Refused:  # logged already: what this node knows is better than nothing
            own = self._answer(question)
        finally:
            del self._open[question.id]
        return [own, *survey.answers]

    # -- answering

    def handle_question(self, question: Question) -> None:
        """Answer another node. Does not block."""
        gevent.spawn(self._send_answer, question)

    def handle_answer(self, node: str, answer: Answer) -> None:
        """Take the answer of another node; one that comes late, or to somebody else's question, is passed over."""
        survey = self._open.get(answer.id)
        if survey is not None:
            survey.add(node, answer)

    def _send_answer(self, question: Question) -> None:
        try:
            self._send(self._answer(question))
        except Refused:
            pass  # logged already

    def _answer(self, question: Question) -> Answer:
        answer = Answer(question.id)
        if question.user is not None:
            answer.connections = self._connections_here(question.user)
        if question.channels is not None:
            answer.subscribers = self._subscribers_here(question.channels)
        if question.info:
            answer.info = self._info()
            answer.info.metrics["node_cpu_milliseconds"] = int(time.process_time() * 1000)
        return answer

    def _connections_here(self, user: str) -> list[UserConnection]:
        name = self._config().name
        return [
            UserConnection(connection.uid, connection.user, name, sorted(connection.channels))
            for connection in self._hub.user_connections(user)[:MOST]
        ]

    def _subscribers_here(self, part: str) -> dict[str, int]:
        counts: dict[str, int] = {}
        for channel in self._hub.channels():
            if part in channel:
                counts[channel] = self._hub.num_subscribers(channel)
            give_turn()
        return dict(nlargest(MOST, counts.items(), key=lambda item: item[1]))


def _new_id() -> str:
    return str(uuid.uuid4())
