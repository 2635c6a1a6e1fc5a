"""The fast path of publishing: a request has the same effect and the same reply on the fast path and the usual one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gentrifugo.app.api import calls as calls_module
from gentrifugo.app.api.calls import MethodCalls
from gentrifugo.app.api.plain_batch import decode_plain_batch
from gentrifugo.app.config.channel_options import Namespace
from gentrifugo.app.model.events import Publication
from gentrifugo.app.model.json_codec import MAX_NESTING, InvalidJSON
from gentrifugo.app.node.node import Node
from gentrifugo.app.node.plain_publish import MAX_FLAT_SIZE, decode_plain_publish
from gentrifugo.app.protocol.v1 import api as api_module
from gentrifugo.app.protocol.v1.api import BadRequest, CommandAPI
from gentrifugo.app.protocol.v1.plain_commands import decode_plain_command, decode_plain_commands
from gentrifugo.app.protocol.v1.wire import encode_publication
from gentrifugo.app.protocol.v2.errors import CodedError
from gentrifugo.engines.base import EngineError, HistoryOptions, PublishConditions, PublishEffect
from gentrifugo.engines.memory import MemoryEngine
from tests.app.conftest import config

NAMESPACES = (Namespace(name="kept", history_size=3, history_lifetime=60), Namespace(name="watched", watch=True))
EPOCH = re.compile(rb'"epoch":"[^"]*"')


class RecordingEngine(MemoryEngine):
    """Records the publications that it gets one at a time, and fails for the channel `broken`.

    If `is_heard` is false, no channel has subscribers, and publications in a row are stored together.
    """

    def __init__(self, is_heard: bool) -> None:
        super().__init__()
        self.is_heard = is_heard
        self.published: list[Publication] = []

    def may_have_subscribers(self, channel: str) -> bool:
        return self.is_heard

    def publish(
        self, publication: Publication, history: HistoryOptions | None, once: PublishConditions | None = None
    ) -> PublishEffect:
        if publication.channel == "broken":
            raise EngineError("broken")
        self.published.append(_without_random(publication))
        return super().publish(publication, history, once)


class Path:
    """A node that carries out requests on one of the paths."""

    def __init__(self, is_heard: bool, reply_max_size: int) -> None:
        self._engine = RecordingEngine(is_heard)
        options = config(namespaces=NAMESPACES, api_reply_max_size=reply_max_size)
        self.node = Node(options, self._engine, "test", encode_publication)
        self._v1 = CommandAPI(self.node)
        self._v2 = MethodCalls(self.node)

    def outcome(self, method: str | None, body: bytes) -> tuple[object, object]:
        """The reply or the error, and what has been published and stored."""
        self._engine.published.clear()
        reply: bytes | CodedError | str
        try:
            reply = self._v1.process(body) if method is None else self._v2.by_name[method](body)
        except (BadRequest, InvalidJSON) as error:
            reply = f"{type(error).__name__}: {error}"
        if isinstance(reply, bytes):
            reply = EPOCH.sub(b'"epoch":""', reply)
        return reply, [*self._engine.published, *map(_without_random, self._engine.history("kept:a"))]


def _without_random(publication: Publication) -> Publication:
    """A publication without its epoch, and without its uid unless the backend has given a short one."""
    return publication._replace(uid=publication.uid if len(publication.uid) < 10 else "", epoch="")


@contextmanager
def long_path_only() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(api_module, "decode_plain_commands", lambda *_: None)
        patched.setattr(api_module, "decode_plain_command", lambda _: None)
        patched.setattr(calls_module, "decode_plain_batch", lambda _: None)
        patched.setattr(calls_module, "decode_plain_publish", lambda _: None)
        yield


def assert_same(method: str | None, bodies: list[bytes], is_heard: bool = True, reply_max_size: int = 1 << 20) -> None:
    short, long = Path(is_heard, reply_max_size), Path(is_heard, reply_max_size)
    for body in bodies:
        found = short.outcome(method, body)
        with long_path_only():
            assert long.outcome(method, body) == found


NAMES = st.sampled_from(
    ['"news"', '"kept:a"', '"watched:a"', '"broken"', '"unknown:a"', '""', '"\\u00fc \\" x"', '"\\ud800"', "null", "7"]
)
DATA = st.sampled_from(
    [
        *('{"a": 1}', "[1,  2]", "null", '"\\ud800"', "1e999", '"ü"', '{"a":1,"a":2}', "", "01", "{", '"'),
        *("[" * depth + "]" * depth for depth in (MAX_NESTING - 9, MAX_NESTING - 2, MAX_NESTING, MAX_NESTING + 1)),
        '["' + "[" * 2000 + '"]',
        "x" * 3000,
    ]
)
TEXTS = st.sampled_from(['""', '"id"', '"\\u0001"', "null", "1"])


def objects(**fields: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """JSON objects: some fields are left out, some have another case, some are there twice, in any order."""
    spelled = [
        st.tuples(st.sampled_from([name] * 8 + [name.upper(), f"{name}x"]), values) for name, values in fields.items()
    ]
    often = st.tuples(*spelled).map(list)
    rarely = st.lists(st.one_of(spelled), max_size=len(fields) + 1)
    chosen = st.one_of(often, often, rarely).flatmap(st.permutations)
    return chosen.map(lambda pairs: "{" + ",".join(f'"{name}": {value}' for name, value in pairs) + "}")


def several(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(items, min_size=2, max_size=6).map(lambda texts: "[" + ",".join(texts) + "]")


plain_data = st.sampled_from(['{"a": 1}', "[]", '"ü"'])
v1_params = objects(channel=NAMES, data=DATA) | objects(channel=NAMES, data=plain_data, client=TEXTS, uid=TEXTS)
methods = st.sampled_from(['"publish"'] * 8 + ['"Publish"', '"presence"', "null"])
v1_commands = objects(method=methods, params=v1_params) | objects(uid=TEXTS, method=methods, params=v1_params)
v1_requests = v1_commands | several(v1_commands) | st.sampled_from(["", " []", "[]", "[null]", "7"])
v2_params = objects(channel=NAMES, data=DATA) | objects(
    channel=NAMES, data=plain_data, tags=st.sampled_from(['{"a":"b"}', "null", "{}"]), skip_history=st.just("true")
)
v2_items = objects(publish=v2_params) | st.sampled_from(["{}", "null", '{"channels":{}}', '{"publish":null}'])
flags = st.sampled_from(["true", "false", "null", "1"])
v2_batches = objects(commands=several(v2_items)) | objects(
    commands=several(v2_items), parallel=flags, group_publications=flags
)
sizes = st.sampled_from([1, 200, 2000, 1 << 20])


@given(st.lists(v1_requests.map(str.encode), min_size=1, max_size=3), st.booleans(), sizes)
@example([b'[{"method":"publish","params":{"channel":"a","data":"\xff"}}]'], False, 1 << 20)
@settings(max_examples=400)
def test_requests_of_version_1_are_the_same_on_both_paths(bodies: list[bytes], is_heard: bool, size: int) -> None:
    assert_same(None, bodies, is_heard, size)


@given(st.lists(v2_batches.map(str.encode), min_size=1, max_size=3), st.booleans(), sizes)
@settings(max_examples=300)
def test_batches_are_the_same_on_both_paths(bodies: list[bytes], is_heard: bool, size: int) -> None:
    assert_same("batch", bodies, is_heard, size)


@given(st.lists(v2_params.map(str.encode), min_size=1, max_size=3))
@example([b'{"channel":"a","data":"\xff"}'])
@example([b""])
@settings(max_examples=200)
def test_single_publishes_are_the_same_on_both_paths(bodies: list[bytes]) -> None:
    assert_same("publish", bodies)


def test_usual_requests_use_the_fast_path() -> None:
    publish = b'{"channel":"news","data":{"a":1}}'
    command = b'{"method":"publish","params":%b}' % publish
    assert decode_plain_publish(publish) == ("news", b'{"a":1}')
    assert decode_plain_command(command) is not None
    assert decode_plain_commands(b"[%b]" % b",".join([command] * 3), 1 << 20) is not None
    commands = b",".join([b'{"publish":%b}' % publish] * 3)
    assert decode_plain_batch(b'{"commands":[%b]}' % commands) is not None
    assert decode_plain_batch(b'{"commands":[%b],"parallel":true,"group_publications":true}' % commands) is not None


@pytest.mark.parametrize("size", [MAX_FLAT_SIZE + 1, 10 * MAX_FLAT_SIZE])
def test_payloads_that_may_be_nested_too_deeply_use_the_other_path(size: int) -> None:
    publish = b'{"channel":"news","data":"%b"}' % (b"[" * size)
    command = b'{"method":"publish","params":%b}' % publish
    assert decode_plain_publish(publish) is None
    assert decode_plain_command(command) is None
    assert decode_plain_commands(b"[%b]" % b",".join([command] * 3), 1 << 20) is None
    assert decode_plain_batch(b'{"commands":[%b]}' % b",".join([b'{"publish":%b}' % publish] * 3)) is None
