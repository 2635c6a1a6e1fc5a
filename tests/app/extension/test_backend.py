"""Behaviour of commands as Python calls, on a node of the memory engine."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import date
from typing import Any

import pytest
from msgspec import Raw

from gentrifugo.app.config.channel_options import Namespace
from gentrifugo.app.extension.backend import Backend, ClientInfo, CommandError, HistoryMessage
from gentrifugo.app.model.events import RawClientInfo
from gentrifugo.app.node.commands import Commands
from gentrifugo.app.node.node import Node
from gentrifugo.engines.memory import MemoryEngine
from tests.fakes import FailingEngine
from tests.local_client import LocalClient, closed

CHAT = Namespace(name="chat", presence=True, history_size=10, history_lifetime=60)
INFO = RawClientInfo("42", "client", b'{"name":"Ann"}', b"[1]")


class NodeBackend(Backend):
    """Carries out the commands on one node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def _open_commands(self) -> AbstractContextManager[Commands]:
        return nullcontext(self._node)


@pytest.fixture
def node(start_node: Callable[..., Node]) -> Node:
    return start_node(MemoryEngine(), namespaces=(CHAT,))


@pytest.fixture
def backend(node: Node) -> Backend:
    return NodeBackend(node)


@pytest.mark.parametrize("data", [None, 1, "text", [1, {"a": True}], {"at": date(2026, 1, 2)}])
def test_published_messages_are_in_the_history(backend: Backend, data: Any) -> None:
    backend.publish("chat:1", data, client="c", uid="u")
    shown = {"at": "2026-01-02"} if isinstance(data, dict) else data
    assert backend.history("chat:1") == [HistoryMessage("u", "chat:1", shown, "c")]


def test_a_broadcast_is_in_all_histories(backend: Backend) -> None:
    backend.broadcast(["chat:1", "chat:2"], "hello")
    assert [backend.history(channel)[0].data for channel in ("chat:1", "chat:2")] == ["hello", "hello"]


def test_broadcast_reports_refused_channels_and_publishes_to_the_rest(backend: Backend) -> None:
    with pytest.raises(CommandError, match="namespace not found"):
        backend.broadcast(["chat:1", "what:1"], "hello")
    assert len(backend.history("chat:1")) == 1


def test_publishing_returns_positions(backend: Backend) -> None:
    first, second = backend.publish("chat:1", 1), backend.publish("chat:1", 2)
    assert first is not None
    assert second == (2, first.epoch)
    assert backend.publish("news", 1) is None
    assert backend.publish("chat:1", 3, skip_history=True) is None
    assert backend.broadcast(["chat:1", "news"], 4) == [(3, first.epoch), None]


def test_an_idempotency_key_publishes_once(backend: Backend) -> None:
    first = backend.publish("chat:1", 1, idempotency_key="key")
    assert backend.publish("chat:1", 2, idempotency_key="key") == first
    assert backend.broadcast(["chat:1"], 3, idempotency_key="key") == [first]
    assert [message.data for message in backend.history("chat:1")] == [1]


def test_messages_have_their_tags_and_offsets(backend: Backend) -> None:
    backend.publish("chat:1", 1, uid="u", tags={"lang": "en"})
    (message,) = backend.history("chat:1")
    assert (message.tags, message.offset) == ({"lang": "en"}, 1)
    uid, channel, data, client, info = message
    assert (uid, channel, data, client, info) == ("u", "chat:1", 1, "", None)


@pytest.mark.parametrize("tags", [{"a": 1}, {1: "a"}, {"a": None}])
def test_tags_that_are_not_strings_are_refused(backend: Backend, tags: Any) -> None:
    with pytest.raises(TypeError, match="tags"):
        backend.publish("chat:1", 1, tags=tags)


def test_history_returns_messages_before_or_after_a_position(backend: Backend) -> None:
    for number in (1, 2, 3, 4):
        backend.publish("chat:1", number)
    position = backend.history("chat:1", limit=0).position

    def read(**options: Any) -> list[Any]:
        history = backend.history("chat:1", **options)
        assert history.position == position == (4, position.epoch)
        return [message.data for message in history]

    assert read() == [4, 3, 2, 1]
    assert read(limit=0) == []
    assert read(limit=2) == [4, 3]
    assert read(reverse=False, limit=2) == [1, 2]
    assert read(since=(2, position.epoch)) == [3, 4]
    assert read(since=(3, ""), reverse=True) == [2, 1]
    with pytest.raises(CommandError, match="unrecoverable position"):
        backend.history("chat:1", since=(2, "another"))


@pytest.mark.parametrize("options", [{"limit": -1}, {"since": (-1, "")}])
def test_limits_and_offsets_are_not_negative(backend: Backend, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="-1"):
        backend.history("chat:1", **options)


def test_a_history_can_be_deleted(backend: Backend) -> None:
    first = backend.publish("chat:1", 1)
    assert first is not None
    backend.history_remove("chat:1")
    assert backend.history("chat:1") == []
    assert backend.publish("chat:1", 2) == (2, first.epoch)


def test_presence_can_be_counted(backend: Backend, node: Node) -> None:
    node.add_presence("chat:1", "client", INFO)
    node.add_presence("chat:1", "other", INFO._replace(client="other"))
    assert backend.presence_stats("chat:1") == (2, 1)


def test_history_contains_the_publisher(backend: Backend, node: Node) -> None:
    node.publish("chat:1", b'"mine"', "client", INFO, uid="u")
    assert backend.history("chat:1") == [
        HistoryMessage("u", "chat:1", "mine", "client", ClientInfo("42", "client", {"name": "Ann"}, [1]))
    ]


def test_presence_lists_the_clients(backend: Backend, node: Node) -> None:
    node.add_presence("chat:1", "client", INFO)
    assert backend.presence("chat:1") == {"client": ClientInfo("42", "client", {"name": "Ann"}, [1])}


def test_channels_and_stats_are_returned(backend: Backend, node: Node) -> None:
    assert backend.channels() == []
    stats = backend.stats()
    assert [told["uid"] for told in stats["nodes"]] == [node.cluster.uid]
    assert isinstance(stats["nodes"][0]["metrics"]["node_num_clients"], int)


@pytest.mark.parametrize(
    ("command", "arguments", "text"),
    [
        ("publish", ("what:1", 1), "namespace not found"),
        ("presence", ("news",), "not available"),
        ("history", ("news",), "not available"),
        ("history", ("what:1",), "namespace not found"),
        ("history_remove", ("news",), "not available"),
        ("presence_stats", ("news",), "not available"),
        ("unsubscribe", ("42", "what:1"), "namespace not found"),
    ],
)
def test_refused_calls_raise_an_exception(backend: Backend, command: str, arguments: Any, text: str) -> None:
    with pytest.raises(CommandError, match=text):
        getattr(backend, command)(*arguments)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("publish", ("what:1", 1)),
        ("broadcast", (["chat:1", "what:1", "other:1"], 1)),
        ("presence", ("what:1",)),
        ("presence_stats", ("what:1",)),
        ("history", ("what:1",)),
        ("history_remove", ("what:1",)),
        ("subscribe", ("42", "what:1")),
        ("unsubscribe", ("42", "what:1")),
    ],
)
def test_an_unknown_namespace_is_named_with_the_channel_and_those_that_exist(
    backend: Backend, command: str, arguments: Any
) -> None:
    with pytest.raises(CommandError) as raised:
        getattr(backend, command)(*arguments)
    assert str(raised.value) == (
        "namespace not found: channel 'what:1': namespace 'what' is not in option namespaces (chat)"
    )
    assert raised.value.text == "namespace not found"


def test_options_that_a_channel_needs_are_named(backend: Backend) -> None:
    with pytest.raises(CommandError) as raised:
        backend.presence("news")
    assert str(raised.value) == (
        "not available: channel 'news': option presence is off for channels without a namespace"
    )


def test_a_long_channel_is_not_repeated_in_the_text_of_an_error(backend: Backend) -> None:
    for channel in ("what:" + "x" * 10_000, "w" * 10_000 + ":x"):
        with pytest.raises(CommandError) as raised:
            backend.publish(channel, 1)
        assert len(str(raised.value)) < 700


@pytest.mark.parametrize(
    ("command", "arguments", "text"),
    [
        ("publish", ("", 1), "channel is empty"),
        ("broadcast", (["chat:1", ""], 1), "channel is empty"),
        ("presence", ("",), "channel is empty"),
        ("disconnect", ("",), "user is empty"),
        ("unsubscribe", ("",), "user is empty"),
    ],
)
def test_invalid_arguments_raise_value_error(backend: Backend, command: str, arguments: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        getattr(backend, command)(*arguments)
    assert backend.history("chat:1") == []


@pytest.mark.parametrize("channel", [None, 5, ["chat:1"], {"text": "hello"}], ids=repr)
def test_a_channel_must_be_a_string(backend: Backend, channel: Any) -> None:
    for call in (
        lambda: backend.publish(channel, 1),
        lambda: backend.broadcast(["chat:1", channel], 1),
        lambda: backend.presence(channel),
        lambda: backend.presence_stats(channel),
        lambda: backend.history(channel),
        lambda: backend.history_remove(channel),
        lambda: backend.subscribe("42", channel),
    ):
        with pytest.raises(TypeError, match=r"channel is .*; expected the name of a channel"):
            call()
    assert backend.history("chat:1") == []


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda backend: backend.publish("chat:1", 1, {"a": 1}), "client is {'a': 1}; expected a string"),
        (lambda backend: backend.publish("chat:1", 1, uid=5), "uid is 5; expected a string"),
        (lambda backend: backend.publish("chat:1", 1, idempotency_key=5), "idempotency_key is 5; expected a string"),
        (lambda backend: backend.publish("chat:1", 1, tags=["a"]), "tags is ['a']; expected a dictionary of strings"),
        (lambda backend: backend.broadcast(None, 1), "channels is None; expected a list of names"),
        (lambda backend: backend.broadcast({"chat:1": 1}, 1), "channels is {'chat:1': 1}; expected a list of names"),
        (lambda backend: backend.broadcast(["chat:1"], 1, client=None), "client is None; expected a string"),
        (lambda backend: backend.unsubscribe("42", None), "channel is None; expected a string"),
        (lambda backend: backend.subscribe("42", "chat:1", client=5), "client is 5; expected a string"),
        (lambda backend: backend.send("42", 1, client=5), "client is 5; expected a string"),
        (lambda backend: backend.history("chat:1", "5"), "limit is '5'; expected a number of messages"),
        (lambda backend: backend.history("chat:1", since=5), "since is 5; expected a position"),
        (lambda backend: backend.history("chat:1", since=("1", "e")), "since is ('1', 'e'); expected a position"),
    ],
)
def test_an_argument_of_a_wrong_type_is_named(backend: Backend, call: Callable[[Any], object], text: str) -> None:
    with pytest.raises(TypeError) as raised:
        call(backend)
    assert text in str(raised.value)
    assert backend.history("chat:1") == []


@pytest.mark.parametrize("user", [42, "42"], ids=repr)
def test_a_user_may_be_a_number_as_in_hooks(backend: Backend, node: Node, user: str | int) -> None:
    client = LocalClient.connected(node, "42")
    client.subscribe("chat:1")
    backend.unsubscribe(user)
    assert list(client.connection.channels) == []
    backend.disconnect(user)
    assert client.close_reason == closed("disconnect")


@pytest.mark.parametrize("user", [None, True, 4.2, ["42"]], ids=repr)
def test_user_of_another_type_is_refused(backend: Backend, user: Any) -> None:
    for command in (backend.disconnect, backend.unsubscribe):
        with pytest.raises(TypeError, match="expected a string or a number"):
            command(user)


@pytest.mark.parametrize("data", [object(), {"a": {1, object()}}])
def test_data_that_json_cannot_express_is_refused(backend: Backend, data: Any) -> None:
    with pytest.raises(TypeError):
        backend.publish("chat:1", data)


@pytest.mark.parametrize("depth", [501, 100_000])
def test_data_that_is_nested_too_deeply_is_refused(backend: Backend, depth: int) -> None:
    data: Any = 1
    for _ in range(depth):
        data = [data]
    with pytest.raises(ValueError, match="nested too deeply"):
        backend.publish("chat:1", data)


@pytest.mark.parametrize(
    ("published", "read"),
    [
        (b"1e999", math.inf),
        (b"-" + b"7" * 5000, -math.inf),
        (b'["\\ud800", "\\ud83d\\ude00"]', ["\ufffd", "\U0001f600"]),
        (b'{"\\udc00": 1e999}', {"\ufffd": math.inf}),
    ],
    ids=["large number", "many digits", "half a surrogate pair", "both"],
)
def test_history_contains_all_data_that_clients_can_publish(
    backend: Backend, node: Node, published: bytes, read: Any
) -> None:
    node.publish("chat:1", published)
    assert [entry.data for entry in backend.history("chat:1")] == [read]


@pytest.mark.parametrize("data", [b"abc", bytearray(b"{}"), memoryview(b"1")])
def test_bytes_are_refused_as_data(backend: Backend, data: Any) -> None:
    for command in (
        lambda: backend.publish("chat:1", data),
        lambda: backend.broadcast(["chat:1"], data),
        lambda: backend.send("ann", data),
        lambda: backend.subscribe("ann", "chat:1", data=data),
    ):
        with pytest.raises(
            TypeError, match=r"^data: \w+ is not a value of JSON; pass the decoded value, or msgspec\.Raw"
        ):
            command()
    with pytest.raises(TypeError, match=r"^info: "):
        backend.subscribe("ann", "chat:1", info=data)


def test_encoded_json_and_bytes_inside_of_data_are_published(backend: Backend) -> None:
    backend.publish("chat:1", Raw(b'{"a": 1}'))
    backend.publish("chat:1", {"a": b"abc", "b": math.nan})
    assert [message.data for message in backend.history("chat:1")] == [{"a": "YWJj", "b": None}, {"a": 1}]


@pytest.mark.parametrize("text", [b"", b"nonsense", b"1,2", b"\xff"])
def test_encoded_data_that_is_not_json_is_refused(backend: Backend, text: bytes) -> None:
    with pytest.raises(ValueError, match=r"data: the content of the msgspec\.Raw is not JSON"):
        backend.publish("chat:1", Raw(text))


def test_broadcast_refuses_a_string_instead_of_a_list_of_channels(backend: Backend) -> None:
    with pytest.raises(TypeError, match="expected a list of names"):
        backend.broadcast("chat:1", 1)


def test_an_engine_that_fails_is_an_exception(start_node: Callable[..., Node]) -> None:
    engine = FailingEngine()
    backend = NodeBackend(start_node(engine, namespaces=(CHAT,)))
    engine.failing = {"publish", "presence", "channels"}
    for command in (lambda: backend.publish("chat:1", 1), lambda: backend.presence("chat:1"), backend.channels):
        with pytest.raises(CommandError, match=r"^internal server error: .*\w+ has failed$"):
            command()
    with pytest.raises(CommandError, match=r"^internal server error: channel 'chat:1': publish has failed$"):
        backend.broadcast(["chat:1"], 1)
