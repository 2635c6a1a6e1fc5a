"""Behaviour of channel names: the namespace they belong to, and who may subscribe, with every boundary changed."""

from __future__ import annotations

from typing import Any

import pytest

from gentrifugo.app.config.channel_options import Namespace
from gentrifugo.app.config.config import Config
from gentrifugo.app.model.errors import NAMESPACE_NOT_FOUND, Refused
from gentrifugo.app.node import channels as channels_module
from gentrifugo.app.node.channels import ChannelRules

PUBLIC = Namespace(name="public", presence=True)
BOUNDARIES = {
    "private_channel_prefix": "priv-",
    "namespace_channel_boundary": "::",
    "user_channel_boundary": "@@",
    "user_channel_separator": " or ",
    "client_channel_boundary": "~~",
}


def rules(**options: Any) -> ChannelRules:
    return ChannelRules(Config(namespaces=(PUBLIC,), **options))


STANDARD, MOVED, NONE = rules(), rules(**BOUNDARIES), rules(**dict.fromkeys(BOUNDARIES, ""))


@pytest.mark.parametrize(
    ("channel", "namespace"),
    [
        ("news", ""),
        ("public:news", "public"),
        ("$public:news", "public"),
        ("public:news:today", "public"),
        ("public:", "public"),
        (":news", ""),
        ("$:news", ""),
        (":", ""),
        ("", ""),
        ("$", ""),
        ("$$public:news", "$public"),
        ("news$public:x", "news$public"),
        ("news#public:42", "news#public"),
        ("public", ""),
    ],
)
def test_namespace_is_the_text_before_the_first_boundary(channel: str, namespace: str) -> None:
    assert STANDARD.namespace(channel) == namespace


@pytest.mark.parametrize(
    ("channel", "namespace"),
    [("public::news", "public"), ("priv-public::news", "public"), ("public:news", ""), ("$public::news", "$public")],
)
def test_namespace_boundary_can_be_changed(channel: str, namespace: str) -> None:
    assert MOVED.namespace(channel) == namespace


def test_no_namespaces_without_a_boundary() -> None:
    assert NONE.namespace("public:news") == NONE.namespace("") == ""


def test_a_channel_has_the_options_of_its_namespace() -> None:
    assert STANDARD.options("public:news") is PUBLIC
    assert STANDARD.options("$public:news#42") is PUBLIC


def test_a_channel_without_a_namespace_has_those_of_the_top_level() -> None:
    assert rules(publish=True).options("news").publish
    assert not STANDARD.options(":news").presence


@pytest.mark.parametrize("channel", ["unknown:news", "$unknown:news", "Public:news", " public:news"])
def test_an_unknown_namespace_is_refused(channel: str) -> None:
    with pytest.raises(Refused) as refused:
        STANDARD.options(channel)
    assert refused.value.error == NAMESPACE_NOT_FOUND


@pytest.mark.parametrize(
    ("channel", "private"), [("$news", True), ("$", True), ("news$", False), ("", False), ("priv-news", False)]
)
def test_a_private_channel_begins_with_the_prefix(channel: str, private: bool) -> None:
    assert STANDARD.is_private(channel) is private


def test_the_private_prefix_can_be_changed() -> None:
    assert MOVED.is_private("priv-news")
    assert not MOVED.is_private("$news")


def test_no_channel_is_private_without_a_prefix() -> None:
    assert not NONE.is_private("$news")
    assert not NONE.is_private("")


@pytest.mark.parametrize(
    ("channel", "allowed"),
    [
        ("news", True),
        ("news#42", True),
        ("dialog#41,42", True),
        ("dialog#42,43", True),
        ("news#43", False),
        ("news#4", False),
        ("news#420", False),
        ("news#", False),
        ("news#42#43", False),
        ("news#43#42", True),
        ("news#,", False),
        ("news# 42", False),
        ("#42", True),
    ],
)
def test_users_are_listed_after_the_last_boundary(channel: str, allowed: bool) -> None:
    assert STANDARD.allows_user(channel, "42") is allowed


def test_an_empty_place_in_the_list_is_the_anonymous_user() -> None:
    assert STANDARD.allows_user("news#", "")
    assert STANDARD.allows_user("news#42,", "")
    assert not STANDARD.allows_user("news#42", "")


@pytest.mark.parametrize(
    ("channel", "allowed"),
    [("news@@42", True), ("news@@41 or 42", True), ("news@@41,42", False), ("news#43", True), ("news@@43", False)],
)
def test_boundary_and_separator_of_users_can_be_changed(channel: str, allowed: bool) -> None:
    assert MOVED.allows_user(channel, "42") is allowed


def test_without_a_separator_there_is_one_user() -> None:
    one = rules(user_channel_separator="")
    assert one.allows_user("news#41,42", "41,42")
    assert not one.allows_user("news#41,42", "42")


def test_without_a_boundary_every_user_is_allowed() -> None:
    assert NONE.allows_user("news#43", "42")


@pytest.mark.parametrize(
    ("channel", "allowed"),
    [("news", True), ("news&c1", True), ("news&c2", False), ("news&", False), ("news&c2&c1", True), ("&c1&c2", False)],
)
def test_client_id_is_the_text_after_the_last_boundary(channel: str, allowed: bool) -> None:
    assert STANDARD.allows_client(channel, "c1") is allowed


def test_client_boundary_can_be_changed() -> None:
    assert MOVED.allows_client("news~~c1", "c1")
    assert not MOVED.allows_client("news~~c2", "c1")
    assert MOVED.allows_client("news&c2", "c1")


def test_without_a_boundary_every_client_is_allowed() -> None:
    assert NONE.allows_client("news&c2", "c1")


def test_history_options_come_from_the_namespace() -> None:
    kept = Namespace(name="kept", history_size=2, history_lifetime=60, history_drop_inactive=True, history_meta_ttl=90)
    some = ChannelRules(Config(namespaces=(kept, Namespace(name="size", history_size=2))))
    assert some.options_and_history("kept:news") == (kept, (2, 60, True, 90))
    for channel in ("news", "size:news"):
        assert some.options_and_history(channel) == (some.options(channel), None)
    with pytest.raises(Refused):
        some.options_and_history("unknown:news")


def test_the_options_of_any_number_of_channels_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels_module, "MAX_CACHED", 3)
    some = rules()
    names = [f"{prefix}{number}" for number in range(5) for prefix in ("public:", "", f"public:{'a' * 300}")]
    for name in (*names, *names):
        assert some.options(name).presence is name.startswith("public:")
        assert len(some._by_channel) <= 3  # clients choose the names, and only memory would show that all are kept
    with pytest.raises(Refused):
        some.options("unknown:news")


@pytest.mark.parametrize(
    ("names", "known"),
    [
        ([], ", which is empty"),
        (["chat"], " (chat)"),
        ([f"n{number:02}" for number in range(11)], " (n00, n01, n02, n03, n04, n05, n06, n07, n08, n09, …)"),
    ],
)
def test_reason_for_an_unknown_namespace_lists_those_that_exist(names: list[str], known: str) -> None:
    known_rules = ChannelRules(Config(namespaces=tuple(Namespace(name=name) for name in names)))
    with pytest.raises(Refused) as refused:
        known_rules.options("missing:news")
    assert refused.value.detail == f"namespace 'missing' is not in option namespaces{known}"
