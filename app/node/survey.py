"""Surveys: requests to all nodes for reports, such as the connections of a user or the subscribers of channels.

The requesting node sends a request to all nodes and collects their reports for at most REPORT_TIMEOUT. A node that does
not reply is missing in the result.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from heapq import nlargest

import gevent
from gevent.event import Event

from ...engines.health import ServerHealth
from ..config.config import Config
from ..model.errors import Refused
from ..runtime.running_clock import wait_for
from ..runtime.yielding import iterate_yielding, yield_if_due
from .control import NodeReport, SurveyReport, SurveyRequest, UserConnection
from .hub import Hub
from .name_pattern import InvalidPattern, NamePattern
from .questions import OperatorAnswer, OperatorQuestion
from .registry import NodeInfo
from .rings import NodeSamples, SamplesWanted
from .samples import NodeHistory

REPORT_TIMEOUT = 1.0
"""Maximum seconds to wait for the other nodes."""
REPORT_SHARE = 1 / 3
"""Maximum part of node_ping_interval to wait, so that repeated surveys soon show that a node has ended."""
MAX_REPORT_ITEMS = 1000
"""Maximum number of connections, or of channels, in the report of one node."""


class Survey:
    """A running survey: the reports received so far, and the nodes whose reports are missing."""

    def __init__(self, asked: Collection[str]) -> None:
        self.reports: list[SurveyReport] = []
        self._missing = set(asked)
        self._complete = Event()
        if not asked:
            self._complete.set()

    def add(self, node: str, report: SurveyReport) -> None:
        """Add the report of a node."""
        if node in self._missing:
            self._missing.remove(node)
            self.reports.append(report)
        if not self._missing:
            self._complete.set()

    def give_up(self) -> None:
        """End the wait, because the request was not sent to other nodes."""
        self._complete.set()

    def wait(self, timeout: float) -> None:
        """Wait until all nodes have reported, at most `timeout` seconds."""
        wait_for(self._complete, timeout)


class Surveys:
    """The surveys of one node, and its reports to others. `send` sends a message to all nodes, or raises Refused."""

    def __init__(
        self,
        hub: Hub,
        config: Callable[[], Config],
        info: Callable[[], NodeInfo],
        peers: Callable[[], Collection[str]],
        servers: Callable[[], list[ServerHealth]],
        samples: NodeHistory,
        send: Callable[[SurveyRequest | SurveyReport], None],
        answer: Callable[[OperatorQuestion], OperatorAnswer],
    ) -> None:
        self._hub = hub
        self._config = config
        self._info = info
        self._peers = peers
        self._servers = servers
        self._samples = samples
        self._send = send
        self._answer = answer
        self._running: dict[str, Survey] = {}

    # -- asking

    def connections(self, user: str) -> list[UserConnection]:
        """Return the connections of a user on all nodes, up to MAX_REPORT_ITEMS of each node."""
        return [found for report in self._ask(SurveyRequest(_new_id(), user=user)) for found in report.connections]

    def subscribers(self, part: str) -> Mapping[str, int]:
        """Return how many subscribers the channels whose names contain `part` have on all nodes together.

        Each node reports the MAX_REPORT_ITEMS channels with the most subscribers there.
        """
        total: Counter[str] = Counter()
        for report in self._ask(SurveyRequest(_new_id(), channels=part)):
            total.update(report.subscribers)
        return dict(total.most_common(MAX_REPORT_ITEMS))

    def matching_subscribers(self, pattern: str) -> Mapping[str, int]:
        """Return how many subscribers the channels whose names match have on all nodes together; empty matches all.

        Raises InvalidPattern.
        """
        NamePattern(pattern)
        total: Counter[str] = Counter()
        for report in self._ask(SurveyRequest(_new_id(), pattern=pattern)):
            total.update(report.subscribers)
        return total

    def nodes(self) -> list[NodeReport]:
        """Return the nodes that reply, with their present counters."""
        reports = self._ask(SurveyRequest(_new_id(), info=True))
        return [report.info for report in reports if report.info is not None]

    def samples(self, wanted: SamplesWanted) -> list[NodeSamples]:
        """Return the samples of the nodes that reply."""
        reports = self._ask(SurveyRequest(_new_id(), samples=wanted))
        return [report.samples for report in reports if report.samples is not None]

    def answers(self, question: OperatorQuestion) -> list[OperatorAnswer]:
        """Return the answers to a question of an operator, of the nodes that reply; that of this node is the first."""
        reports = self._ask(SurveyRequest(_new_id(), question=question))
        return [report.answer for report in reports if report.answer is not None]

    def _ask(self, request: SurveyRequest) -> list[SurveyReport]:
        survey = self._running[request.id] = Survey(self._peers())
        try:
            if not self._peers():
                return [self._report(request)]
            # In another greenlet: an engine that hangs must not keep operators from the report of this node.
            gevent.spawn(self._send_request, survey, request)
            own = self._report(request)
            survey.wait(min(REPORT_TIMEOUT, REPORT_SHARE * self._config().node_ping_interval))
        finally:
            del self._running[request.id]
        return [own, *survey.reports]

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
            survey.add(node, report)

    def _send_report(self, request: SurveyRequest) -> None:
        try:
            self._send(self._report(request))
        except Refused:
            pass  # logged already

    def _report(self, request: SurveyRequest) -> SurveyReport:
        report = SurveyReport(request.id)
        if request.user is not None:
            report.connections = self._connections_here(request.user)
        if request.channels is not None:
            report.subscribers = self._subscribers_here(request.channels)
        if request.pattern is not None:
            report.subscribers = self._matching_here(request.pattern)
        if request.question is not None:
            report.answer = self._answer(request.question)
        if request.info:
            info = self._info()
            report.info = NodeReport(info.uid, info.name, info.started_at, info.metrics, self._servers())
            report.info.metrics["node_cpu_milliseconds"] = int(time.process_time() * 1000)
            report.info.metrics["node_clock_milliseconds"] = int(time.monotonic() * 1000)
        if request.samples is not None:
            info = self._info()
            report.samples = self._samples.report(info.uid, info.name, request.samples)
        return report

    def _connections_here(self, user: str) -> list[UserConnection]:
        name = self._config().name
        return [
            UserConnection(
                connection.uid,
                connection.user,
                name,
                sorted(connection.channels),
                connection.protocol,
                connection.library,
                connection.transport_name,
                connection.address,
                round(connection.since, 1),
                round(connection.idle, 1),
            )
            for connection in iterate_yielding(self._hub.user_connections(user)[:MAX_REPORT_ITEMS])
        ]

    def _subscribers_here(self, part: str) -> dict[str, int]:
        counts: dict[str, int] = {}
        for channel in self._hub.channels():
            if part in channel:
                counts[channel] = self._hub.num_subscribers(channel)
            yield_if_due()
        return dict(nlargest(MAX_REPORT_ITEMS, counts.items(), key=lambda item: item[1]))

    def _matching_here(self, pattern: str) -> dict[str, int]:
        try:
            matches = NamePattern(pattern).matches
        except InvalidPattern:  # of a node that knows more patterns
            return {}
        counts: dict[str, int] = {}
        for channel in self._hub.channels():
            if matches(channel):
                counts[channel] = self._hub.num_subscribers(channel)
            yield_if_due()
        return counts


def _new_id() -> str:
    return str(uuid.uuid4())
