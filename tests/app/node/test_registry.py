"""Behaviour of the registry of nodes, with a fake clock."""

from __future__ import annotations

import time

import pytest

from gentrifugo.app.node.registry import LOST_FOR, MAX_LOST, NodeDetails, NodeInfo, NodeRegistry
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


# -- lost nodes


def lost(registry: NodeRegistry) -> list[str]:
    return [known.info.uid for known in registry.known_or_lost() if known.info not in registry.nodes()]


def test_a_silent_node_is_lost_until_it_reports_again(registry: NodeRegistry, clock: FakeClock) -> None:
    registry.add(info("a", clients=1))
    clock.advance(10)
    registry.forget_silent(max_age=9)
    (known,) = registry.known_or_lost()
    assert known.info == info("a", clients=1)
    assert abs(known.reported_at - time.time()) < 60
    registry.add(info("a"))
    assert lost(registry) == []


def test_a_node_that_leaves_is_not_lost(registry: NodeRegistry, clock: FakeClock) -> None:
    registry.add(info("a"), watching=True)
    registry.remove("a")
    assert registry.known_or_lost() == []
    assert not registry.peers_watch
    registry.remove("a")


def test_a_lost_node_is_forgotten_after_some_time(registry: NodeRegistry, clock: FakeClock) -> None:
    registry.add(info("a"))
    clock.advance(LOST_FOR)
    registry.forget_silent(max_age=9)
    assert lost(registry) == ["a"]
    clock.advance(10)
    registry.forget_silent(max_age=9)
    assert lost(registry) == []


# -- nodes that are started in the place of lost ones: several nodes may have the same name


def worker(uid: str, is_new: bool = False) -> NodeInfo:
    """The ping of a node with a name that others have too; with `is_new` it has just been started."""
    return NodeInfo(uid, "worker", int(time.time()) + 1 if is_new else 1_000, {})


@pytest.fixture
def workers(registry: NodeRegistry, clock: FakeClock) -> NodeRegistry:
    """Three nodes of one name: `a` and `b` have sent nothing for a long time, which has not been noticed yet."""
    for uid in ("a", "b", "c"):
        registry.add(worker(uid))
    clock.advance(10)
    registry.add(worker("c"))
    return registry


def test_a_new_node_takes_the_place_of_one_lost_node_of_its_name(workers: NodeRegistry) -> None:
    workers.forget_silent(max_age=9)
    assert lost(workers) == ["a", "b"]
    workers.add(worker("c"))
    assert lost(workers) == ["a", "b"]
    workers.add(info("other"))
    assert lost(workers) == ["a", "b"]
    workers.add(worker("d", is_new=True))
    assert lost(workers) == ["b"]
    workers.add(worker("d", is_new=True))
    assert lost(workers) == ["b"]


def test_a_name_may_end_with_the_process_id(registry: NodeRegistry, clock: FakeClock) -> None:
    registry.add(NodeInfo("a", "worker_11", 1_000, {}), details=NodeDetails(process_id=11))
    clock.advance(10)
    registry.forget_silent(max_age=9)
    assert lost(registry) == ["a"]
    started_at = int(time.time()) + 1
    registry.add(NodeInfo("b", "another_12", started_at, {}), details=NodeDetails(process_id=12))
    assert lost(registry) == ["a"]
    registry.add(NodeInfo("c", "worker_13", started_at, {}), details=NodeDetails(process_id=13))
    assert lost(registry) == []


@pytest.mark.parametrize(
    ("lost_name", "lost_process", "name", "process", "is_replaced"),
    [
        ("app_1", 1, "app_1", 7, True),
        ("app_7", 30, "app_7", 7, True),
        ("app_1", 0, "app_1", 1, True),
        ("app_0", 0, "app", 0, False),
        ("app", 1, "app_1", 1, False),
    ],
)
def test_a_number_of_a_name_may_equal_a_process_id(
    registry: NodeRegistry,
    clock: FakeClock,
    lost_name: str,
    lost_process: int,
    name: str,
    process: int,
    is_replaced: bool,
) -> None:
    registry.add(NodeInfo("a", lost_name, 1_000, {}), details=NodeDetails(process_id=lost_process))
    clock.advance(10)
    registry.forget_silent(max_age=9)
    registry.add(NodeInfo("b", name, int(time.time()) + 1, {}), details=NodeDetails(process_id=process))
    assert lost(registry) == ([] if is_replaced else ["a"])


def test_a_node_may_be_replaced_before_its_loss_is_noticed(workers: NodeRegistry) -> None:
    workers.add(worker("d", is_new=True))
    workers.forget_silent(max_age=9)
    assert lost(workers) == ["b"], "a new node replaces only one"


def test_a_node_that_ran_before_the_loss_is_no_replacement(workers: NodeRegistry) -> None:
    workers.forget_silent(max_age=9)
    workers.add(worker("unknown until now"))
    assert lost(workers) == ["a", "b"]


def test_a_node_that_reports_again_ends_only_its_own_loss(workers: NodeRegistry) -> None:
    workers.forget_silent(max_age=9)
    workers.add(worker("d", is_new=True))
    workers.add(worker("a"))
    assert lost(workers) == ["b"]


def test_a_replacement_that_left_has_replaced_its_predecessor(workers: NodeRegistry) -> None:
    workers.add(worker("d", is_new=True))
    workers.forget_silent(max_age=9)
    workers.remove("d")
    assert lost(workers) == ["b"]
    workers.add(worker("e", is_new=True))
    assert lost(workers) == []


def test_only_the_latest_lost_nodes_are_remembered(registry: NodeRegistry, clock: FakeClock) -> None:
    for number in range(MAX_LOST + 1):
        registry.add(info(str(number)))
    clock.advance(10)
    registry.forget_silent(max_age=9)
    assert lost(registry) == [str(number) for number in range(1, MAX_LOST + 1)]
