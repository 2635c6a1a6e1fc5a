"""The answers of one node to the questions of all nodes (`questions.py`). Long loops let other greenlets run."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from heapq import nlargest, nsmallest

from ..config.visible_options import secret_marks, visible_options
from ..runtime.yielding import iterate_yielding, yield_if_due
from .channel_samples import MAX_LISTED
from .closed_clients import MAX_TEXT_LENGTH
from .cluster import Cluster
from .name_pattern import InvalidPattern, NamePattern
from .node_parts import NodeParts
from .questions import (
    MAX_RANKED,
    MAX_REPORT_ITEMS,
    MAX_WAITING,
    PAGE_SIZE,
    ChannelAnswer,
    ChannelQuestion,
    ClientsAnswer,
    ClientsQuestion,
    ConnectionsAnswer,
    ConnectionsQuestion,
    CountersAnswer,
    CountersQuestion,
    ListAnswer,
    ListItem,
    ListQuestion,
    MatchingQuestion,
    NodeAnswer,
    NodeQuestion,
    NodeReport,
    SamplesAnswer,
    SamplesQuestion,
    SubscribersAnswer,
    SubscribersQuestion,
    SurveyAnswer,
    SurveyQuestion,
    UserConnection,
    WaitingClient,
)
from .rings import SamplesWanted

MAX_LIBRARIES = 50
"""Client libraries that are reported; clients name theirs themselves, so there may be any number."""


class NodeAnswers:
    """Answers the questions about one node."""

    def __init__(self, parts: NodeParts, cluster: Cluster) -> None:
        self._parts = parts
        self._config = parts.config
        self._hub = parts.hub
        self._rates = parts.rates
        self._channel_samples = parts.channel_samples
        self._cluster = cluster
        self.loaded_at = time.time()
        """When the options were last read, in Unix seconds."""

    def answer(self, question: SurveyQuestion) -> SurveyAnswer:
        """Answer a question. Other greenlets may run meanwhile."""
        match question:
            case ConnectionsQuestion(user):
                return self._connections(user)
            case SubscribersQuestion(text):
                return self._subscribers(text)
            case MatchingQuestion(pattern):
                return self._matching_subscribers(pattern)
            case CountersQuestion():
                return self._counters()
            case SamplesQuestion(wanted):
                return self._samples(wanted)
            case ListQuestion():
                return self._list(question)
            case ClientsQuestion():
                return self._clients()
            case NodeQuestion():
                return self._node()
            case ChannelQuestion(channel):
                return self._channel(channel)

    # -- channels

    def _channel(self, channel: str) -> ChannelAnswer:
        self._channel_samples.record([channel])
        rates = self._rates.current()
        rate = None if rates is None else rates(channel)
        return ChannelAnswer(self._config().name, self._hub.num_subscribers(channel), rate)

    def _subscribers(self, text: str) -> SubscribersAnswer:
        counts = self._count_subscribers(lambda channel: text in channel)
        return SubscribersAnswer(dict(nlargest(MAX_REPORT_ITEMS, counts.items(), key=lambda item: item[1])))

    def _matching_subscribers(self, pattern: str) -> SubscribersAnswer:
        try:
            return SubscribersAnswer(self._count_subscribers(NamePattern(pattern).matches))
        except InvalidPattern:  # of a node that knows more patterns
            return SubscribersAnswer({})

    def _count_subscribers(self, matches: Callable[[str], bool]) -> dict[str, int]:
        counts: dict[str, int] = {}
        for channel in self._hub.channels():
            if matches(channel):
                counts[channel] = self._hub.num_subscribers(channel)
            yield_if_due()
        return counts

    # -- lists

    def _list(self, question: ListQuestion) -> ListAnswer:
        is_about_channels = question.kind == "channels"
        rates = self._rates.current() if is_about_channels else None
        names = self._hub.channels() if is_about_channels else self._hub.users()
        count = self._hub.num_subscribers if is_about_channels else self._hub.num_user_connections
        matching = list(_matching_names(names, question))
        chosen = iterate_yielding(matching)
        if question.order == "name":
            after = question.after
            page = nsmallest(PAGE_SIZE, (name for name in chosen if after is None or name > after))
        elif question.order == "rate" and rates is not None:
            page = nlargest(MAX_RANKED, chosen, key=lambda name: (rates(name), count(name)))
        else:
            page = nlargest(MAX_RANKED, chosen, key=count)
        if is_about_channels and question.order != "name" and not question.text:
            self._channel_samples.record(reversed(page[:MAX_LISTED]))
        items = [ListItem(name, count(name), _rate(rates, name)) for name in page]
        return ListAnswer(items, len(matching))

    # -- clients

    def _connections(self, user: str) -> ConnectionsAnswer:
        name = self._config().name
        return ConnectionsAnswer(
            [
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
        )

    def _clients(self) -> ClientsAnswer:
        transports: Counter[str] = Counter()
        protocols: Counter[str] = Counter()
        libraries: Counter[str] = Counter()
        connections = self._hub.connections()
        for connection in iterate_yielding(connections):
            transports[connection.transport_name] += 1
            protocols[connection.protocol] += 1
            libraries[connection.library[:MAX_TEXT_LENGTH]] += 1
        name = self._config().name
        last = list(self._parts.closed_clients.last)
        for closed in last:
            closed.node = name
        slowest = nlargest(MAX_WAITING, iterate_yielding(connections), key=lambda connection: connection.outbox.size)
        waiting = [
            WaitingClient(one.uid, one.user, one.outbox.size, one.address, one.protocol, name)
            for one in slowest
            if one.outbox.size
        ]
        return ClientsAnswer(
            dict(transports),
            dict(protocols),
            dict(libraries.most_common(MAX_LIBRARIES)),
            self._closes_by_reason(),
            last,
            waiting,
            sum(connection.outbox.size for connection in iterate_yielding(connections)),
        )

    def _closes_by_reason(self) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for kind, count in self._parts.metrics.breakdowns.closes.items():
            counts[kind.reason] += count
        return dict(counts)

    # -- the node

    def _counters(self) -> CountersAnswer:
        info = self._cluster.own_info()
        clocks = {
            "node_cpu_milliseconds": int(time.process_time() * 1000),
            "node_clock_milliseconds": int(time.monotonic() * 1000),
        }
        servers = self._cluster.servers()
        return CountersAnswer(NodeReport(info.uid, info.name, info.started_at, info.metrics | clocks, servers))

    def _samples(self, wanted: SamplesWanted) -> SamplesAnswer:
        return SamplesAnswer(self._cluster.samples.report(self._cluster.uid, self._config().name, wanted))

    def _node(self) -> NodeAnswer:
        info, config = self._cluster.own_info(), self._config()
        return NodeAnswer(
            info.uid,
            info.name,
            self._parts.version,
            self._parts.engine,
            info.started_at,
            self.loaded_at,
            visible_options(config),
            secret_marks(config),
        )


def _matching_names(names: list[str], question: ListQuestion) -> Iterator[str]:
    text = question.text
    if not text:
        yield from names
    elif question.is_prefix:
        yield from (name for name in iterate_yielding(names) if name.startswith(text))
    else:
        yield from (name for name in iterate_yielding(names) if text in name)


def _rate(rates: Callable[[str], float] | None, channel: str) -> float | None:
    return None if rates is None else round(rates(channel), 3)
