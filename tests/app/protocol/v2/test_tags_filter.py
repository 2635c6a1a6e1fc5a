"""Filters on tags: what each comparison accepts, which filters are refused, and that equal filters are one object."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gentrifugo.app.model.events import Join, Publication, RawClientInfo
from gentrifugo.app.protocol.v2 import tags_filter as module
from gentrifugo.app.protocol.v2.messages import FilterNode
from gentrifugo.app.protocol.v2.tags_filter import MAX_DEPTH, MAX_NODES, InvalidFilter, tags_filter


def compiled(node: dict[str, Any]) -> module.TagsFilter:
    return tags_filter(msgspec.convert(node, FilterNode))


def passes(node: dict[str, Any], tags: dict[str, str] | None) -> bool:
    return compiled(node)(Publication("u1", "news", b"1", tags=tags))


def compare(cmp: str, val: str = "", vals: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"key": "k", "cmp": cmp, "val": val, "vals": vals}


@pytest.mark.parametrize(
    ("node", "value", "expected"),
    [
        (compare("eq", "a"), "a", True),
        (compare("eq", "a"), "b", False),
        (compare("eq", "a"), None, False),
        (compare("neq", "a"), "a", False),
        (compare("neq", "a"), "b", True),
        (compare("neq", "a"), None, True),
        (compare("in", vals=("a", "b")), "b", True),
        (compare("in", vals=("a", "b")), "c", False),
        (compare("in", vals=("a", "b")), None, False),
        (compare("nin", vals=("a", "b")), "b", False),
        (compare("nin", vals=("a", "b")), None, True),
        (compare("ex"), "", True),
        (compare("ex"), None, False),
        (compare("nex"), "", False),
        (compare("nex"), None, True),
        (compare("sw", "ab"), "abc", True),
        (compare("sw", "ab"), "cab", False),
        (compare("ew", "ab"), "cab", True),
        (compare("ew", "ab"), None, False),
        (compare("ct", "b"), "abc", True),
        (compare("ct", "abc"), "b", False),
        (compare("lt", "10"), "9", True),
        (compare("lt", "10"), "10", False),
        (compare("lte", "10"), "10.0", True),
        (compare("gt", "9.99"), "10", True),
        (compare("gte", "-1"), "-2", False),
        (compare("gte", "0.1"), "0.10", True),
        (compare("gt", "1"), "two", False),
        (compare("gt", "one"), "2", False),
        (compare("gt", "1"), "1e9", False),
        (compare("gt", "1"), "NaN", False),
        (compare("gt", "1"), None, False),
    ],
)
def test_comparisons_of_tags_are_evaluated(node: dict[str, Any], value: str | None, expected: bool) -> None:
    assert passes(node, None if value is None else {"k": value}) is expected


def test_conditions_are_combined_with_and_or_not() -> None:
    german, cheap = {"key": "lang", "cmp": "eq", "val": "de"}, {"key": "price", "cmp": "lt", "val": "10"}
    tags = {"lang": "de", "price": "12"}
    assert passes({"op": "or", "nodes": [german, cheap]}, tags)
    assert not passes({"op": "and", "nodes": [german, cheap]}, tags)
    assert passes({"op": "and", "nodes": [german, {"op": "not", "nodes": [cheap]}]}, tags)


def test_joins_pass_every_filter() -> None:
    assert compiled(compare("eq", "a"))(Join("news", RawClientInfo("alice", "c1")))


def nested(depth: int) -> dict[str, Any]:
    node = compare("ex")
    for _ in range(depth - 1):
        node = {"op": "not", "nodes": [node]}
    return node


@pytest.mark.parametrize(
    "node",
    [
        {},
        {"op": "xor", "nodes": [compare("ex")]},
        {"op": "and"},
        {"op": "or"},
        {"op": "not"},
        {"op": "not", "nodes": [compare("ex"), compare("ex")]},
        {"op": "and", "nodes": [compare("ex"), {}]},
        compare("like", "a"),
        compare("eq"),
        compare("eq", "a", ("a",)),
        compare("in"),
        compare("in", "a", ("a",)),
        compare("ex", "a"),
        compare("nex", vals=("a",)),
        {"cmp": "eq", "val": "a"},
        {"cmp": "in", "vals": ["a"]},
        nested(MAX_DEPTH + 1),
        {"op": "or", "nodes": [compare("ex")] * MAX_NODES},
    ],
)
def test_filters_that_break_a_rule_are_refused(node: dict[str, Any]) -> None:
    with pytest.raises(InvalidFilter):
        compiled(node)


def test_filters_up_to_the_limits_are_accepted() -> None:
    assert passes(nested(MAX_DEPTH), {}) is True
    assert passes({"op": "or", "nodes": [compare("ex")] * (MAX_NODES - 1)}, {"k": ""})


def test_equal_filters_share_an_object_while_in_use() -> None:
    first, second = compiled(compare("eq", "once")), compiled(compare("eq", "once"))
    assert first is second
    shared = weakref.ref(first)
    del first, second
    gc.collect()
    assert shared() is None


NODES = st.recursive(
    st.builds(
        FilterNode,
        key=st.sampled_from(["a", "b"]),
        cmp=st.sampled_from(["eq", "neq", "in", "nin", "ex", "nex", "sw", "ew", "ct", "lt", "lte", "gt", "gte"]),
        val=st.sampled_from(["", "1", "x"]),
        vals=st.lists(st.sampled_from(["1", "x"]), max_size=2),
    ),
    lambda nodes: st.builds(
        FilterNode, op=st.sampled_from(["and", "or", "not"]), nodes=st.lists(nodes, min_size=1, max_size=3)
    ),
    max_leaves=6,
)


@given(NODES, st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["", "1", "x1"])))
def test_a_filter_and_its_negation_never_agree(node: FilterNode, tags: dict[str, str]) -> None:
    publication = Publication("u1", "news", b"1", tags=tags)
    try:
        filter_ = tags_filter(node)
    except InvalidFilter:
        return
    assert tags_filter(FilterNode(op="not", nodes=[node]))(publication) is not filter_(publication)
