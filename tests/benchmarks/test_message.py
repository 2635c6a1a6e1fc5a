"""All messages of a benchmark have the requested size."""

from __future__ import annotations

import json

import pytest

from benchmarks.message import MAX_SIZE, MIN_SIZE, Format, Message

MESSAGES = [Message(0, 0, 0), Message(999, 10**10 - 1, 10**16)]


@pytest.mark.parametrize("size", [MIN_SIZE, 100, MAX_SIZE])
@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_is_json_of_that_size(size: int, message: Message) -> None:
    data = Format(size).data(message)
    assert len(data) == size
    assert Format(size).parse(json.loads(data)) == message


@pytest.mark.parametrize("data", [None, 1, "text", [], {}, {"publisher": "0"}, {"publisher": "x", "number": "1"}])
def test_data_that_is_not_a_benchmark_message_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match="not a message of this load"):
        Format(100).parse(data)
