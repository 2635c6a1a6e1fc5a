"""Jump consistent hashing: an even distribution, and as few moved keys as possible."""

from __future__ import annotations

from collections import Counter

from gentrifugo.engines.redis.jump import bucket, jump

CHANNELS = [f"news:{number}" for number in range(6000)]


def test_single_bucket_has_all_keys() -> None:
    assert {bucket(channel, 1) for channel in CHANNELS} == {0}


def test_keys_are_distributed_evenly_over_buckets() -> None:
    counts = Counter(bucket(channel, 6) for channel in CHANNELS)
    assert sorted(counts) == list(range(6))
    assert all(850 < count < 1150 for count in counts.values())


def test_added_bucket_takes_its_share_and_moves_no_other_keys() -> None:
    moved = 0
    for channel in CHANNELS:
        before, after = bucket(channel, 5), bucket(channel, 6)
        assert after in (before, 5)
        moved += after == 5
    assert 850 < moved < 1150


def test_jump_equals_the_published_algorithm() -> None:
    """All nodes must agree, whatever their release."""
    assert [jump(key, 10) for key in KEYS] == [jump_of_the_paper(key, 10) for key in KEYS]


KEYS = (0, 1, 2, 1 << 63, (1 << 64) - 1)


def jump_of_the_paper(key: int, buckets: int) -> int:
    b, j = -1, 0.0
    while j < buckets:
        b = int(j)
        key = (key * 2862933555777941757 + 1) % 2**64
        j = float(b + 1) * (float(2**31) / float((key >> 33) + 1))
    return b


def test_channel_has_the_same_shard_in_every_release() -> None:
    assert [bucket(channel, 4) for channel in ("news", "chat:1", "канал", "")] == [3, 2, 1, 2]
