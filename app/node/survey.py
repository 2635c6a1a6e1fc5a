"""Surveys: questions to all nodes, such as for the connections of a user or the subscribers of channels.

The requesting node sends the question to all nodes and collects their answers for at most REPORT_TIMEOUT. A node that
does not reply is missing in the result.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

import gevent
from gevent.event import Event

from ..config.config import Config
from ..model.errors import Refused
from ..runtime.running_clock import wait_for
from .control import SurveyReport, SurveyRequest
from .name_pattern import NamePattern
from .questions import (
    MAX_REPORT_ITEMS,
    ConnectionsAnswer,
    ConnectionsQuestion,
    CountersAnswer,
    CountersQuestion,
    MatchingQuestion,
    NodeReport,
    SamplesAnswer,
    SamplesQuestion,
    SubscribersAnswer,
    SubscribersQuestion,
    SurveyAnswer,
    SurveyQuestion,
    UserConnection,
)
from .rings import NodeSamples, SamplesWanted

A = TypeVar("A", bound=SurveyAnswer)

REPORT_TIMEOUT = 1.0
"""Maximum seconds to wait for the other nodes."""
REPORT_SHARE = 1 / 3
"""Maximum part of node_ping_interval to wait, so that repeated surveys soon show that a node has ended."""


class Survey:
    """A running survey: the answers received so far, and the nodes whose answers are missing."""

    def __init__(self, asked: Collection[str]) -> None:
        self.answers: list[SurveyAnswer] = []
        self._missing = set(asked)
        self._complete = Event()
        if not asked:
            self._complete.set()

    def add(self, node: str, answer: SurveyAnswer) -> None:
        """Add the answer of a node."""
        if node in self._missing:
            self._missing.remove(node)
            self.answers.append(answer)
        if not self._missing:
            self._complete.set()

    def give_up(self) -> None:
        """End the wait, because the request was not sent to other nodes."""
        self._complete.set()

    def wait(self, timeout: float) -> None:
        """Wait until all nodes have answered, at most `timeout` seconds."""
        wait_for(self._complete, timeout)


class Surveys:
    """The surveys of one node, and its reports to others.

    `send` sends a message to all nodes, or raises Refused. `answer` returns the answer of this node.
    """

    def __init__(
        self,
        config: Callable[[], Config],
        peers: Callable[[], Collection[str]],
        send: Callable[[SurveyRequest | SurveyReport], None],
        answer: Callable[[SurveyQuestion], SurveyAnswer],
    ) -> None:
        self._config = config
        self._peers = peers
        self._send = send
        self._answer = answer
        self._running: dict[str, Survey] = {}

    # -- asking

    def connections(self, user: str) -> list[UserConnection]:
        """Return the connections of a user on all nodes, up to MAX_REPORT_ITEMS of each node."""
        answers = self.ask(ConnectionsQuestion(user), ConnectionsAnswer)
        return [found for answer in answers for found in answer.connections]

    def subscribers(self, part: str) -> Mapping[str, int]:
        """Return how many subscribers the channels whose names contain `part` have on all nodes together.

        Each node reports the MAX_REPORT_ITEMS channels with the most subscribers there.
        """
        return dict(self._total_subscribers(SubscribersQuestion(part)).most_common(MAX_REPORT_ITEMS))

    def matching_subscribers(self, pattern: str) -> Mapping[str, int]:
        """Return how many subscribers the channels whose names match have on all nodes together; empty matches all.

        Raises InvalidPattern.
        """
        NamePattern(pattern)
        return self._total_subscribers(MatchingQuestion(pattern))

    def _total_subscribers(self, question: SubscribersQuestion | MatchingQuestion) -> Counter[str]:
        total: Counter[str] = Counter()
        for answer in self.ask(question, SubscribersAnswer):
            total.update(answer.subscribers)
        return total

    def nodes(self) -> list[NodeReport]:
        """Return the nodes that reply, with their present counters."""
        return [answer.node for answer in self.ask(CountersQuestion(), CountersAnswer)]

    def samples(self, wanted: SamplesWanted) -> list[NodeSamples]:
        """Return the samples of the nodes that reply."""
        return [answer.samples for answer in self.ask(SamplesQuestion(wanted), SamplesAnswer)]

    def ask(self, question: SurveyQuestion, answer: type[A]) -> list[A]:
        """Return the answers to a question, of the nodes that reply; that of this node is the first.

        Answers of another type than `answer` are left out.
        """
        request = SurveyRequest(str(uuid.uuid4()), question)
        survey = self._running[request.id] = Survey(self._peers())
        try:
            if self._peers():
                # In another greenlet: an engine that hangs must not keep operators from the report of this node.
                gevent.spawn(self._send_request, survey, request)
            own = self._answer(question)
            survey.wait(min(REPORT_TIMEOUT, REPORT_SHARE * self._config().node_ping_interval))
        finally:
            del self._running[request.id]
        return [found for found in (own, *survey.answers) if isinstance(found, answer)]

    def _send_request(self, survey: Survey, request: SurveyRequest) -> None:
        try:
            self._send(request)
        except Refused:  # logged already: the report of this node is better than none
            survey.give_up()

    # -- reporting

    def handle_request(self, request: SurveyRequest) -> None:
        """Send a report to another node. Does not block."""
        gevent.spawn(self._send_report, request)

    def handle_report(self, node: str, report: SurveyReport) -> None:
        """Add the report of another node to its survey. Ignored if the survey has ended or belongs to another node."""
        survey = self._running.get(report.id)
        if survey is not None:
            survey.add(node, report.answer)

    def _send_report(self, request: SurveyRequest) -> None:
        try:
            self._send(SurveyReport(request.id, self._answer(request.question)))
        except Refused:
            pass  # logged already
