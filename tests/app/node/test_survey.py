"""Behaviour of surveys of all nodes, on nodes with one engine."""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent
import pytest

from gentrifugo.app.node import answers as answers_module
from gentrifugo.app.node import survey as survey_module
from gentrifugo.app.node.control import SurveyReport, SurveyRequest
from gentrifugo.app.node.node import Node
from gentrifugo.app.node.questions import CountersQuestion, MatchingQuestion, SubscribersAnswer
from gentrifugo.app.node.survey import Survey
from tests.fakes import Bus, FailingEngine
from tests.greenlets import eventually
from tests.local_client import LocalClient
from tests.waiting import seconds

StartNode = Callable[..., Node]


@pytest.fixture
def nodes(start_node: StartNode) -> tuple[Node, Node]:
    bus = Bus()
    first, second = (start_node(bus.engine(), name=name, node_ping_interval=0.05) for name in ("first", "second"))
    eventually(lambda: first.cluster.registry.peers and second.cluster.registry.peers)
    return first, second


def test_connections_of_a_user_are_found_on_all_nodes(nodes: tuple[Node, Node]) -> None:
    clients = {node.config.name: LocalClient.connected(node, "alice") for node in nodes}
    clients["second"].subscribe("news")
    for node in nodes:
        found = {connection.node: connection for connection in node.cluster.surveys.connections("alice")}
        assert {name: connection.client for name, connection in found.items()} == {
            name: client.uid for name, client in clients.items()
        }
        assert found["second"].channels == ["news"]
    assert nodes[0].cluster.surveys.connections("bob") == []


def test_subscribers_of_all_nodes_are_added_up(nodes: tuple[Node, Node]) -> None:
    for node in nodes:
        LocalClient.connected(node).subscribe("news")
    LocalClient.connected(nodes[1]).subscribe("sport")
    assert nodes[0].cluster.surveys.subscribers("") == {"news": 2, "sport": 1}
    assert nodes[0].cluster.surveys.subscribers("new") == {"news": 2}


def test_a_report_lists_only_the_channels_with_the_most_subscribers(
    nodes: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers_module, "MAX_REPORT_ITEMS", 1)
    for channel in ("news", "news", "sport"):
        LocalClient.connected(nodes[1]).subscribe(channel)
    assert nodes[0].cluster.surveys.subscribers("") == {"news": 2}


def test_all_nodes_report_their_metrics(nodes: tuple[Node, Node]) -> None:
    LocalClient.connected(nodes[1])
    clients = {info.name: info.metrics["node_num_clients"] for info in nodes[0].cluster.surveys.nodes()}
    assert clients == {"first": 0, "second": 1}


def test_reports_have_a_clock_for_differences(node: Node) -> None:
    (first,) = node.cluster.surveys.nodes()
    gevent.sleep(0.02)
    (second,) = node.cluster.surveys.nodes()
    assert second.metrics["node_clock_milliseconds"] - first.metrics["node_clock_milliseconds"] >= 20


def test_a_node_that_does_not_reply_is_missing_in_the_result(
    nodes: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey_module, "REPORT_TIMEOUT", 0.05)
    monkeypatch.setattr(nodes[1].cluster.surveys, "handle_request", lambda request: None)
    began = time.monotonic()
    assert [info.name for info in nodes[0].cluster.surveys.nodes()] == ["first"]
    assert time.monotonic() - began < seconds(1)
    # Otherwise the reports of each such survey would stay in memory, which nothing else shows.
    assert nodes[0].cluster.surveys._running == {}


def test_only_the_own_node_reports_while_the_engine_fails(start_node: StartNode) -> None:
    engine = FailingEngine()
    node = start_node(engine, name="first")
    node.cluster.registry.add(node.cluster.own_info().__class__("other", "other", 0, {}))
    engine.failing.add("publish_control")
    assert [info.name for info in node.cluster.surveys.nodes()] == ["first"]


def test_a_report_to_a_survey_that_is_over_is_ignored(nodes: tuple[Node, Node]) -> None:
    surveys = nodes[0].cluster.surveys
    surveys.handle_report("other", SurveyReport("over", SubscribersAnswer({})))
    assert {info.name for info in surveys.nodes()} == {"first", "second"}


def test_a_report_that_cannot_be_sent_is_logged(start_node: StartNode, caplog: pytest.LogCaptureFixture) -> None:
    engine = FailingEngine()
    node = start_node(engine)
    engine.failing.add("publish_control")
    node.cluster.surveys.handle_request(SurveyRequest("asked", CountersQuestion()))
    eventually(lambda: "cannot publish a control message: publish_control has failed" in caplog.text)


def test_a_survey_of_no_nodes_is_complete_and_ignores_reports() -> None:
    survey = Survey([])
    survey.wait(60)
    survey.add("other", SubscribersAnswer({}))
    assert survey.answers == []


def test_a_pattern_that_a_node_cannot_read_matches_none_of_its_channels(start_node: StartNode) -> None:
    node = start_node()
    LocalClient.connected(node).subscribe("news")
    answers = [node.answers.answer(MatchingQuestion(pattern)) for pattern in ("[", "n*")]
    assert answers == [SubscribersAnswer({}), SubscribersAnswer({"news": 1})]
