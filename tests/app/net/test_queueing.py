"""Queueing a frame in many outboxes, in Python and with the C module."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from gentrifugo.app.net import bulk_send, queueing
from gentrifugo.app.net.bulk_send import SPEEDUPS_SWITCH, QueueFrame, chosen_queue_frame
from tests.parts import compiled_send_waiting


@pytest.fixture(params=["in Python", "in C"])
def queue_frame(request: pytest.FixtureRequest) -> QueueFrame:
    if request.param == "in Python":
        return queueing.queue_frame
    compiled_send_waiting()
    assert bulk_send.compiled_queue_frame is not None
    return bulk_send.compiled_queue_frame


class Waiting:
    """An outbox that counts its calls of `overflow`."""

    __slots__ = ("counts", "fileno", "frames", "limit", "overflows", "size")

    def __init__(self, limit: Any = 10) -> None:
        self.counts = self.fileno = None
        self.frames: Any = []
        self.size: Any = 0
        self.limit = limit
        self.overflows = 0

    def overflow(self) -> None:
        """Count the call."""
        self.overflows += 1


class WithoutSlots(Waiting):
    """An outbox with one attribute in a dictionary."""

    size = None


def test_frame_is_queued_in_each_outbox_and_counted(queue_frame: QueueFrame) -> None:
    outboxes: Any = [Waiting() for _ in range(3)]
    waiting: list[Any] = []
    first, second = b"1", b"22"
    queue_frame(outboxes, first, waiting)
    queue_frame({outboxes[0], outboxes[2]}, second, waiting)
    assert [outbox.frames for outbox in outboxes] == [[first, second], [first], [first, second]]
    assert all(outbox.frames[0] is first for outbox in outboxes)
    assert [outbox.size for outbox in outboxes] == [3, 1, 3]
    assert waiting == outboxes


def test_outboxes_that_were_empty_are_added_once(queue_frame: QueueFrame) -> None:
    one: Any = Waiting()
    other: Any = Waiting()
    waiting: list[Any] = []
    queue_frame((one,), b"1", waiting)
    queue_frame(iter([one, other, one]), b"2", waiting)
    assert waiting == [one, other]
    assert one.frames == [b"1", b"2", b"2"]


def test_overflow_is_called_when_more_waits_than_the_limit(queue_frame: QueueFrame) -> None:
    small: Any = Waiting(limit=4)
    large: Any = Waiting(limit=1 << 70)
    for expected in (0, 0, 1):
        queue_frame([small, large], b"12", [])
        assert (small.overflows, large.overflows) == (expected, 0)


def test_error_of_overflow_is_raised(queue_frame: QueueFrame) -> None:
    class Failing(Waiting):
        __slots__ = ()

        def overflow(self) -> None:
            raise RuntimeError("no room")

    outboxes: Any = [Failing(limit=0), Waiting()]
    with pytest.raises(RuntimeError, match="no room"):
        queue_frame(outboxes, b"1", [])


def test_receivers_that_change_meanwhile_raise(queue_frame: QueueFrame) -> None:
    receivers: set[Any] = set()

    class Leaving(Waiting):
        __slots__ = ()

        def overflow(self) -> None:
            receivers.pop()

    receivers.update(Leaving(limit=0) for _ in range(3))
    with pytest.raises(RuntimeError, match="changed size during iteration"):
        queue_frame(receivers, b"1", [])


def test_no_references_are_lost_or_left(queue_frame: QueueFrame) -> None:
    outboxes: Any = [Waiting(limit=1000 * (number % 2)) for number in range(10)]
    frame = bytes(bytearray(b"frame" * 100))
    before = sys.getrefcount(frame), [sys.getrefcount(outbox) for outbox in outboxes]
    waiting: list[Any] = []
    for _ in range(5):
        queue_frame(outboxes, frame, waiting)
    assert sys.getrefcount(frame) == before[0] + 50
    assert [sys.getrefcount(outbox) for outbox in outboxes] == [count + 1 for count in before[1]]
    assert [outbox.size for outbox in outboxes] == [2500] * 10


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"frames": ()}, "frames must be a list"),
        ({"size": "1"}, "an integer is required|cannot be interpreted as an integer|expected int"),
        ({"size": 1 << 70}, "too large"),
        ({"limit": "1"}, "not supported between instances of 'int' and 'str'"),
    ],
    ids=str,
)
def test_c_module_refuses_attributes_of_wrong_types(change: dict[str, Any], error: str) -> None:
    compiled_send_waiting()
    queue: Any = bulk_send.compiled_queue_frame
    outbox = Waiting()
    for name, value in change.items():
        setattr(outbox, name, value)
    with pytest.raises((TypeError, OverflowError), match=error):
        queue([outbox], b"1", [])


def test_c_module_refuses_outboxes_without_slots_and_wrong_arguments() -> None:
    compiled_send_waiting()
    queue: Any = bulk_send.compiled_queue_frame
    without_limit = Waiting()
    del without_limit.limit
    for arguments, error in [
        (([WithoutSlots()], b"1", []), r"WithoutSlots\.size is not a slot"),
        (([without_limit], b"1", []), "an outbox must have a size and a limit"),
        (([1], b"1", []), "'int' has no attribute"),
        ((1, b"1", []), "'int' object is not iterable"),
        (([], "1", []), "queue_frame takes outboxes, bytes and a list"),
        (([], b"1", ()), "queue_frame takes outboxes, bytes and a list"),
        (([], b"1"), "queue_frame takes outboxes, bytes and a list"),
    ]:
        with pytest.raises((TypeError, AttributeError), match=error):
            queue(*arguments)


def test_environment_variable_chooses_the_function_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled_send_waiting()
    monkeypatch.delenv(SPEEDUPS_SWITCH, raising=False)
    assert chosen_queue_frame() is bulk_send.compiled_queue_frame
    monkeypatch.setenv(SPEEDUPS_SWITCH, "0")
    assert chosen_queue_frame() is queueing.queue_frame


def test_function_in_python_is_chosen_if_the_module_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SPEEDUPS_SWITCH, raising=False)
    monkeypatch.setattr(bulk_send, "compiled_queue_frame", None)
    assert chosen_queue_frame() is queueing.queue_frame
