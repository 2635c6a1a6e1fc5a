"""What is read of a history ends before what cannot be a part of it."""

from __future__ import annotations

import pytest

from gentrifugo.app.model.events import Join, Publication, RawClientInfo
from gentrifugo.engines.redis.codec import SkipLog, encode_event, encode_publication
from gentrifugo.engines.redis.history import EPOCH_SIZE, History, decode

EPOCH = b"e" * EPOCH_SIZE
OTHER = b"o" * EPOCH_SIZE
JOIN = encode_event(Join("news", RawClientInfo("alice", "c1")))


def message(uid: str) -> Publication:
    return Publication(uid, "news", b"{}")


def entry(uid: str) -> bytes:
    return encode_publication(message(uid), kept=True)


@pytest.mark.parametrize(
    ("entries", "history"),
    [
        ([EPOCH + entry("2"), EPOCH + entry("1")], History([message("2"), message("1")], 2)),
        ([EPOCH + entry("2"), OTHER + entry("1")], History([message("2"), message("1")], 1)),
        ([EPOCH + entry("2"), EPOCH + JOIN, EPOCH + entry("1")], History([message("2")], 1)),
        ([EPOCH + entry("2"), EPOCH + b"\xc1", EPOCH + entry("1")], History([message("2")], 1)),
        ([], History([], 0)),
    ],
    ids=["complete", "an earlier epoch", "no publication", "unreadable", "empty"],
)
def test_a_history_is_read_up_to_what_does_not_belong_there(entries: list[bytes], history: History) -> None:
    assert decode("news", EPOCH, entries, SkipLog()) == history
