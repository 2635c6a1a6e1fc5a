"""IDs of connections are random UUIDs, also in a process that has been forked; IDs of publications are counted."""

from __future__ import annotations

import os
import sys
import threading
import uuid
from itertools import chain

from gentrifugo.app.runtime.random_ids import counted_ids, random_uuid


def test_each_id_is_another_random_uuid() -> None:
    ids = [random_uuid() for _ in range(1000)]
    assert len(set(ids)) == len(ids)
    for text in ids:
        parsed = uuid.UUID(text)
        assert (parsed.version, parsed.variant, str(parsed)) == (4, uuid.RFC_4122, text)


def test_every_random_digit_varies() -> None:
    columns = list(zip(*(random_uuid() for _ in range(1000)), strict=True))
    assert [len(set(column)) for column in columns].count(16) == 30
    assert set(columns[19]) == set("89ab")


def test_forked_process_creates_other_ids() -> None:
    random_uuid()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, random_uuid().encode())
        os._exit(0)  # without the finalizers of this process
    of_child = os.read(reading, 100).decode()
    os.waitpid(child, 0)
    os.close(reading)
    os.close(writing)
    assert uuid.UUID(of_child)
    assert of_child not in [random_uuid() for _ in range(100)]


def test_threads_never_get_the_same_id() -> None:
    ids: list[list[str]] = [[] for _ in range(8)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [
            threading.Thread(target=lambda found=found: found.extend(random_uuid() for _ in range(3000)))
            for found in ids
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert len(set(chain(*ids))) == 8 * 3000


def test_counted_ids_differ_within_and_between_counters() -> None:
    counters = [counted_ids(), counted_ids()]
    ids = [counter() for counter in counters for _ in range(1000)]
    assert len(set(ids)) == len(ids)
    assert {len(text) for text in ids} == {36}
    assert all(uuid.UUID(text) for text in ids)
    assert sorted(ids[:1000]) == ids[:1000]
