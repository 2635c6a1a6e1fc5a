"""A history is read up to the first entry that cannot be a part of it."""

from __future__ import annotations

import msgspec
import pytest

from gentrifugo.app.model.events import Join, Publication, RawClientInfo
from gentrifugo.engines.redis.codec import SkipLog, encode_event, encode_unplaced
from gentrifugo.engines.redis.history import History, decode

EPOCH, OTHER = "1" * 16, "2" * 16
JOIN = encode_event(Join("news", RawClientInfo("alice", "c1")))


def message(uid: str, epoch: str = EPOCH) -> Publication:
    return Publication(uid, "news", b"{}", offset=int(uid), epoch=epoch)


def entry(uid: str, epoch: str = EPOCH) -> bytes:
    position = msgspec.msgpack.encode(int(uid)) + msgspec.msgpack.encode(epoch)
    return encode_unplaced(message(uid), is_stored=True) + position


@pytest.mark.parametrize(
    ("entries", "history"),
    [
        ([entry("2"), entry("1")], History([message("2"), message("1")], 2)),
        ([entry("2", EPOCH + "a"), entry("1")], History([message("2", EPOCH + "a"), message("1")], 2)),
        ([entry("2"), entry("1", OTHER)], History([message("2"), message("1", OTHER)], 1)),
        ([entry("2"), JOIN, entry("1")], History([message("2")], 1)),
        ([entry("2"), b"\xc1", entry("1")], History([message("2")], 1)),
        ([], History([], 0)),
    ],
    ids=["complete", "another stream of the epoch", "an earlier epoch", "no publication", "unreadable", "empty"],
)
def test_history_is_read_up_to_an_invalid_entry(entries: list[bytes], history: History) -> None:
    assert decode("news", EPOCH.encode(), entries, SkipLog()) == history
