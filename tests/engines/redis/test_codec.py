"""Decoding returns the encoded events, and unreadable data is detected."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gentrifugo.app.model.events import Event, Join, Leave, Publication, RawClientInfo
from gentrifugo.engines.redis import codec
from gentrifugo.engines.redis.codec import Unreadable

texts = st.text(st.characters(exclude_categories=["Cs"]))
infos = st.builds(RawClientInfo, texts, texts, st.binary(), st.binary())
tags = st.none() | st.dictionaries(texts, texts, max_size=3)
publications = st.builds(
    Publication, texts, st.just("news"), st.binary(), texts, st.none() | infos, tags, st.just(0), st.just("")
)


@given(publications)
def test_publications_survive_encoding_and_decoding(publication: Publication) -> None:
    assert codec.decode_event("news", codec.encode_publication(publication)) == (publication, False)


@given(publications, st.booleans(), st.integers(0, 2**53 - 1), texts)
def test_publications_whose_position_is_added_later(
    publication: Publication, kept: bool, offset: int, epoch: str
) -> None:
    added = msgspec.msgpack.encode(offset) + msgspec.msgpack.encode(epoch)
    received = codec.decode_event("news", codec.encode_unplaced(publication, kept) + added)
    assert received == (publication._replace(offset=offset, epoch=epoch), kept)


@given(infos, st.sampled_from([Join, Leave]))
def test_joins_and_leaves_survive_encoding_and_decoding(info: RawClientInfo, kind: type[Join] | type[Leave]) -> None:
    event: Event = kind("news", info)
    received = codec.decode_event("news", codec.encode_event(event))
    assert received == (event, False)
    assert type(received.event) is kind


@given(infos)
def test_presence_survives_encoding_and_decoding(info: RawClientInfo) -> None:
    assert codec.decode_presence_entry(codec.encode_presence_entry(info)) == info


def test_the_format_is_the_documented_one() -> None:
    """docs/redis.md describes the format; a change requires another version."""
    info = RawClientInfo("42", "c1", b'{"a":1}', b"")
    publication = Publication("u1", "news", b'{"text":"hi"}', "c1", info)
    shown = ["u1", b'{"text":"hi"}', "c1", ["42", "c1", b'{"a":1}', b""]]
    assert msgspec.msgpack.decode(codec.encode_publication(publication)) == [1, 0, *shown]
    tagged = publication._replace(tags={"a": "b"})
    assert msgspec.msgpack.decode(codec.encode_publication(tagged)) == [1, 0, *shown, {"a": "b"}]
    placed = codec.encode_unplaced(tagged, is_stored=True) + b"\x07" + b"\xa2e1"
    assert msgspec.msgpack.decode(placed) == [1, 1, *shown, {"a": "b"}, 7, "e1"]
    join = msgspec.msgpack.decode(codec.encode_event(Join("news", info)))
    assert join == [1, 2, "", b"", "", ["42", "c1", b'{"a":1}', b""]]
    assert msgspec.msgpack.decode(codec.encode_presence_entry(info)) == [1, ["42", "c1", b'{"a":1}', b""]]


def test_fields_that_a_later_release_adds_are_ignored() -> None:
    info = ["42", "c1", b"", b"", "new"]
    data = msgspec.msgpack.encode([1, 0, "u1", b"{}", "", info, None, 0, "", "new", {"newer": 1}])
    assert codec.decode_event("news", data).event == Publication("u1", "news", b"{}", "", RawClientInfo("42", "c1"))
    assert codec.decode_presence_entry(msgspec.msgpack.encode([1, info, "new"])) == RawClientInfo("42", "c1")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ([2, 0, "u1", b"{}", "", None], "version 2"),
        ([2], "version 2"),
        ([0, {"quite": "different"}], "version 0"),
        ([1, 9, "u1", b"{}", "", None], "unknown kind of event: 9"),
        ([1, 2, "", b"", "", None], "unknown kind of event: 2"),
        ([1, 0], "invalid message"),
        ({}, "invalid message"),
        ([], "invalid message"),
        (None, "invalid message"),
    ],
)
def test_messages_of_other_versions_are_refused_with_the_reason(message: object, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        codec.decode_event("news", msgspec.msgpack.encode(message))


@given(st.binary())
def test_arbitrary_bytes_are_an_event_of_the_channel_or_unreadable(data: bytes) -> None:
    with suppress(Unreadable):
        assert codec.decode_event("news", data).event.channel == "news"
    with suppress(Unreadable):
        assert isinstance(codec.decode_presence_entry(data), RawClientInfo)


def test_a_publication_among_other_events_is_not_kept() -> None:
    publication = Publication("u1", "news", b"{}")
    assert codec.decode_event("news", codec.encode_event(publication)) == (publication, False)


@pytest.mark.parametrize("present", [(9, None), (1,), "text"], ids=["of another version", "without info", "a text"])
def test_unreadable_presence_is_skipped(present: object) -> None:
    info = RawClientInfo("alice", "c2")
    other = msgspec.msgpack.encode((9, codec.Info(*info)) if present == (9, None) else present)
    pairs = codec.presence_pairs([b"c1", other, b"c2", codec.encode_presence_entry(info)])
    assert codec.decode_presence(pairs, codec.SkipLog()) == {"c2": info}
