"""Behaviour of the registry of nodes, with a fake clock."""

from __future__ import annotations

import pytest

from gentrifugo.app.node.registry import NodeInfo, NodeRegistry
from tests.fakes import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def registry(clock: FakeClock) -> NodeRegistry:
    return NodeRegistry("own", clock)


def info(uid: str, **metrics: int) -> NodeInfo:
    return NodeInfo(uid, f"name of {uid}", 1_000, metrics)


def test_new_registry_has_no_nodes(registry: NodeRegistry) -> None:
    assert registry.nodes() == []


def test_registry_stores_the_last_ping_of_each_node(registry: NodeRegistry) -> None:
    for told in (info("a", clients=1), info("b"), info("a", clients=2)):
        registry.add(told)
    assert registry.nodes() == [info("a", clients=2), info("b")]


def test_a_silent_node_is_forgotten(registry: NodeRegistry, clock: FakeClock) -> None:
    registry.add(info("a"))
    clock.advance(5)
    registry.add(info("b"))
    clock.advance(5)
    registry.forget_silent(max_age=9)
    assert registry.nodes() == [info("b")]


def test_node_that_sends_pings_is_kept(registry: NodeRegistry, clock: FakeClock) -> None:
    for _ in range(3):
        registry.add(info("a"))
        clock.advance(9)
        registry.forget_silent(max_age=9)
    assert registry.nodes() == [info("a")]


def test_a_node_never_forgets_itself(registry: NodeRegistry, clock: FakeClock) -> None:
    registry.add(info("own"))
    clock.advance(1_000)
    registry.forget_silent(max_age=9)
    assert registry.nodes() == [info("own")]


def test_watching_node_is_remembered_until_it_stops_or_expires(registry: NodeRegistry, clock: FakeClock) -> None:
    registry.add(info("own"), watching=True)
    assert not registry.peers_watch
    registry.add(info("a"), watching=True)
    assert (registry.peers_watch, registry.peers) == (True, ["a"])
    registry.add(info("a"))
    assert not registry.peers_watch
    registry.add(info("a"), watching=True)
    clock.advance(10)
    registry.forget_silent(max_age=9)
    assert (registry.peers_watch, registry.peers) == (False, [])
