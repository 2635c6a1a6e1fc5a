"""The C module for sending: results, wrong arguments, the helper thread, forks, and memory errors."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from errno import EAGAIN, EBADF, EPIPE
from pathlib import Path
from typing import Any

import pytest

from gentrifugo.app.net import bulk_send
from gentrifugo.app.net.bulk_send import (
    SHARED_FROM,
    SPEEDUPS_SWITCH,
    SendWaiting,
    Unfinished,
    chosen_send_waiting,
    describe_speedups,
)
from gentrifugo.app.net.flushable import Flushable
from gentrifugo.app.net.outbox import NO_LIMIT
from gentrifugo.app.net.traffic import Traffic
from tests.parts import ROOT, compiled_send_waiting, program
from tests.waiting import seconds

MANY = 300
"""Sockets with which the helper thread takes part."""
SOURCES = sorted((ROOT / "app" / "net").glob("*.c"))
STRESS = Path(__file__).parent / "send_many_stress.py"


@pytest.fixture(params=[True, False], ids=["with helper", "alone"])
def send_waiting(request: pytest.FixtureRequest) -> SendWaiting:
    compiled = compiled_send_waiting()
    may_share: bool = request.param
    return lambda outboxes: compiled(outboxes, may_share)


Pairs = list[tuple[socket.socket, socket.socket]]


@pytest.fixture
def pairs() -> Iterator[Pairs]:
    """Connected sockets."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with ExitStack() as stack:
        found = []
        for _ in range(MANY):
            ends = socket.socketpair()
            for end in ends:
                stack.enter_context(end).settimeout(seconds(5))
            found.append(ends)
        yield found


class Waiting:
    """An outbox with the attributes that the C module uses, as slots."""

    __slots__ = ("counts", "fileno", "frames", "limit", "size")

    def __init__(self, fileno: Any, *frames: Any, size: Any = None, counts: Any = None) -> None:
        self.fileno = fileno
        self.frames: Any = [*frames]
        self.size = sum(map(len, frames)) if size is None else size
        self.limit = NO_LIMIT
        self.counts = counts or Traffic()

    @property
    def is_empty(self) -> bool:
        """Return whether no frame and no byte waits."""
        return (self.frames, self.size) == ([], 0)


class Subclass(Waiting):
    """An outbox of a class with another place for one of the attributes."""

    __slots__ = ("size",)


class WithoutSlots:
    """Not an outbox: its attributes are in a dictionary."""

    def __init__(self) -> None:
        self.fileno, self.frames, self.size, self.counts = (lambda: -1), [b"x"], 1, Traffic()


# -- sending


@pytest.mark.parametrize("count", [1, 63, 64, 65, MANY])
def test_each_socket_gets_its_frames(send_waiting: SendWaiting, pairs: Pairs, count: int) -> None:
    outboxes: list[Any] = [
        Waiting(ours.fileno, b"%d" % number, b"!" * (number % 3)) for number, (ours, _) in enumerate(pairs[:count])
    ]
    assert send_waiting(outboxes) == []
    assert [theirs.recv(10) for _, theirs in pairs[:count]] == [b"%d" % n + b"!" * (n % 3) for n in range(count)]
    assert all(outbox.is_empty for outbox in outboxes)


def test_nothing_is_sent_for_an_empty_list(send_waiting: SendWaiting) -> None:
    assert send_waiting([]) == []


def test_frames_that_several_outboxes_share_are_joined_for_each_of_them(
    send_waiting: SendWaiting, pairs: Pairs
) -> None:
    one, two, three = b"one ", b"two ", b"three "
    kinds = [(one, two), (one, two), (one, three), (one,), (two, one), (one, two, three)]
    outboxes: list[Any] = [Waiting(ours.fileno, *frames) for (ours, _), frames in zip(pairs, kinds, strict=False)]
    assert send_waiting(outboxes) == []
    assert [theirs.recv(20) for _, theirs in pairs[: len(kinds)]] == [b"".join(frames) for frames in kinds]


def test_unfinished_outboxes_are_returned_with_their_results(send_waiting: SendWaiting, pairs: Pairs) -> None:
    (full, _), (broken, peer), (partly, _), (closed, _), (whole, receiver) = pairs[:5]
    full.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            full.send(b"x" * 100_000)
    peer.close()
    descriptor = closed.fileno()
    closed.close()
    large = b"a" * 10_000_000
    outboxes: list[Any] = [
        Waiting(full.fileno, b"frame"),
        Waiting(broken.fileno, b"frame"),
        Waiting(partly.fileno, large),
        Waiting(lambda: descriptor, b"frame"),
        Waiting(lambda: -1, b"frame"),
        Waiting(whole.fileno, b"frame"),
    ]
    unfinished = send_waiting(outboxes)
    assert unfinished is not None
    (*unsent, (third, sent), (fourth, closed_result), without_descriptor) = unfinished
    assert unsent == [(outboxes[0], -EAGAIN), (outboxes[1], -EPIPE)]
    assert third is outboxes[2]
    assert sent is not None
    assert 0 < sent < len(large)
    assert (fourth, closed_result) == (outboxes[3], -EBADF)
    assert without_descriptor == (outboxes[4], None)
    assert [outbox.frames for outbox in outboxes] == [[b"frame"], [b"frame"], [large], [b"frame"], [b"frame"], []]
    assert receiver.recv(10) == b"frame"


def test_outbox_that_got_a_frame_meanwhile_is_returned(send_waiting: SendWaiting, pairs: Pairs) -> None:
    ours, theirs = pairs[0]
    outbox: Any = Waiting(ours.fileno, b"frame", size=6)  # as if another thread had counted one more byte
    assert send_waiting([outbox]) == [(outbox, 5)]
    assert outbox.frames == [b"frame"]
    assert theirs.recv(10) == b"frame"


def test_sent_frames_and_bytes_are_counted_where_each_outbox_says(send_waiting: SendWaiting, pairs: Pairs) -> None:
    counts = [Traffic(), Traffic()]
    outboxes: list[Any] = [
        Waiting(ours.fileno, b"12", b"345", counts=counts[number % 3 == 0])
        for number, (ours, _) in enumerate(pairs[:30])
    ]
    assert send_waiting(outboxes) == []
    assert [(count.frames_sent, count.bytes_sent) for count in counts] == [(40, 100), (20, 50)]


def test_classes_may_have_the_attributes_at_different_places(send_waiting: SendWaiting, pairs: Pairs) -> None:
    outboxes: list[Any] = [
        kind(ours.fileno, b"frame")
        for kind, (ours, _) in zip([Waiting, Subclass, Subclass, Waiting], pairs, strict=False)
    ]
    assert send_waiting(outboxes) == []
    assert all(outbox.is_empty for outbox in outboxes)


def test_no_references_to_frames_and_counts_are_lost_or_left(send_waiting: SendWaiting, pairs: Pairs) -> None:
    frame, counts, full = bytes(bytearray(b"frame")), Traffic(), socket.socket()
    with full:
        outboxes: list[Any] = [Waiting(ours.fileno, frame, frame, counts=counts) for ours, _ in pairs[:10]]
        outboxes += [Waiting(lambda: -1, frame), Waiting(full.fileno, frame, counts=counts)]
        before = sys.getrefcount(frame), sys.getrefcount(counts)
        unfinished = send_waiting(outboxes)
        assert unfinished is not None
        assert [outbox for outbox, _ in unfinished] == outboxes[10:]
        assert (sys.getrefcount(frame), sys.getrefcount(counts)) == (before[0] - 20, before[1])


# -- wrong arguments


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), "send_waiting takes a list of outboxes and a bool"),
        (([],), "send_waiting takes a list of outboxes and a bool"),
        (([], 1), "send_waiting takes a list of outboxes and a bool"),
        (((), True), "send_waiting takes a list of outboxes and a bool"),
        (([WithoutSlots()], True), "WithoutSlots' has no attribute 'counts'"),
        (([1], True), "'int' has no attribute 'counts'"),
        (([Waiting(lambda: "1", b"x")], True), "an integer is required|cannot be interpreted as an integer"),
        (([Waiting(lambda: -2, b"x")], True), "no descriptor: -2"),
        (([Waiting(lambda: 1 << 31, b"x")], True), "no descriptor: 2147483648"),
        (([Waiting(lambda: 1 << 64, b"x")], True), "too large|too big"),
        (([Waiting(lambda: 1 // 0, b"x")], True), "division"),
        (([Waiting(lambda: 1, "text")], True), "frames must be bytes, not str"),
        (([Waiting(lambda: 1, bytearray(1))], True), "frames must be bytes, not bytearray"),
        (([Waiting(lambda: 1, b"x", "text")], True), "expected a bytes-like object"),
    ],
)
def test_wrong_arguments_raise(arguments: tuple[Any, ...], error: str) -> None:
    send_waiting: Any = compiled_send_waiting()
    with pytest.raises((TypeError, ValueError, OverflowError, AttributeError, ZeroDivisionError), match=error):
        send_waiting(*arguments)


def test_attributes_that_are_missing_or_no_slots_raise(send_waiting: SendWaiting) -> None:
    outbox: Any = Waiting(lambda: 1, b"x")
    outbox.frames = (b"x",)
    with pytest.raises(TypeError, match="frames must be a list"):
        send_waiting([outbox])
    del outbox.frames
    with pytest.raises(TypeError, match="frames must be a list"):
        send_waiting([outbox])
    del outbox.fileno
    with pytest.raises(AttributeError, match="fileno"):
        send_waiting([outbox])
    computed: Any = type("Computed", (Waiting,), {"size": property(lambda self: 1, lambda self, size: None)})
    with pytest.raises(TypeError, match=r"Computed\.size is not a slot"):
        send_waiting([computed(lambda: 1, b"x")])


def test_after_an_error_after_sending_there_are_no_results(send_waiting: SendWaiting, pairs: Pairs) -> None:
    outboxes: list[Any] = [Waiting(ours.fileno, b"x", counts=object()) for ours, _ in pairs[:2]]
    assert send_waiting(outboxes) is None


def test_outboxes_for_which_too_much_would_be_joined_are_returned(send_waiting: SendWaiting, pairs: Pairs) -> None:
    frames = [bytes([number]) * 5_000_000 for number in range(6)]
    outboxes: list[Any] = [
        Waiting(ours.fileno, *of)
        for (ours, _), of in zip(pairs, [frames[:2], frames[2:4], frames[4:], frames[:2], frames[:1]], strict=False)
    ]
    unfinished = send_waiting(outboxes)
    assert unfinished is not None
    assert [outbox for outbox, _ in unfinished] == outboxes
    assert [sent is None for _, sent in unfinished] == [False, False, True, True, True]
    assert outboxes[2].frames == frames[4:]


def test_error_is_never_taken_for_a_sent_size(send_waiting: SendWaiting, pairs: Pairs) -> None:
    ours, theirs = pairs[0]
    theirs.close()
    outbox: Any = Waiting(ours.fileno, b"frame", size=-EPIPE)
    assert send_waiting([outbox]) == [(outbox, -EPIPE)]


def waiting(pairs: Pairs, *frames: bytes) -> list[Any]:
    """Return an outbox with these frames for each of our sockets."""
    return [Waiting(ours.fileno, *frames) for ours, _ in pairs]


# -- processes and threads


def test_forked_process_sends_too(send_waiting: SendWaiting, pairs: Pairs) -> None:
    send_waiting(waiting(pairs, b"1"))
    child = os.fork()
    if not child:
        status = 1
        try:
            signal.alarm(int(seconds(10)))
            status = 0 if send_waiting(waiting(pairs, b"2")) == [] else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    send_waiting(waiting(pairs, b"3"))
    assert {theirs.recv(4) for _, theirs in pairs} == {b"123"}


def test_several_threads_send_at_once(send_waiting: SendWaiting, pairs: Pairs) -> None:
    quarter = MANY // 4

    def send(first: int) -> None:
        for number in range(100):
            send_waiting(waiting(pairs[first : first + quarter], b"%02d" % number))

    threads = [threading.Thread(target=send, args=(first,)) for first in range(0, MANY, quarter)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds(20))
    assert {theirs.recv(1000) for _, theirs in pairs} == {b"".join(b"%02d" % number for number in range(100))}


def test_signals_reach_the_main_thread(send_waiting: SendWaiting, pairs: Pairs) -> None:
    send_waiting(waiting(pairs, b"1"))
    received: list[int] = []
    before = signal.signal(signal.SIGUSR2, lambda number, frame: received.append(number))
    try:
        for _ in range(20):
            os.kill(os.getpid(), signal.SIGUSR2)
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert len(received) == 20


# -- whether it is used


class Calls:
    """Records what the C module is called with."""

    def __init__(self) -> None:
        self.shared: list[bool] = []

    def __call__(self, outboxes: list[Flushable], may_share: bool) -> Unfinished:
        self.shared.append(may_share)
        return [(outbox, 1) for outbox in outboxes]


@pytest.mark.parametrize(
    ("count", "has_spare", "shares"),
    [(SHARED_FROM, True, True), (SHARED_FROM, False, False), (SHARED_FROM - 1, True, False)],
    ids=["many sockets", "many sockets on a busy machine", "few sockets"],
)
def test_helper_takes_part_for_many_sockets_if_a_cpu_is_free(
    monkeypatch: pytest.MonkeyPatch, count: int, has_spare: bool, shares: bool
) -> None:
    calls = Calls()
    monkeypatch.delenv(SPEEDUPS_SWITCH, raising=False)
    monkeypatch.setattr(bulk_send, "compiled_send_waiting", calls)
    chosen = chosen_send_waiting(lambda: has_spare)
    assert chosen is not None
    outboxes: list[Any] = [Waiting(lambda: 1, b"x") for _ in range(count)]
    assert chosen(outboxes) == [(outbox, 1) for outbox in outboxes]
    assert calls.shared == [shares]


def test_environment_variable_disables_the_c_module(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled_send_waiting()
    monkeypatch.delenv(SPEEDUPS_SWITCH, raising=False)
    assert chosen_send_waiting() is not None
    assert describe_speedups() == "C module for sending: used"
    monkeypatch.setenv(SPEEDUPS_SWITCH, "0")
    assert chosen_send_waiting() is None
    assert describe_speedups() == "C module for sending: switched off by GENTRIFUGO_SPEEDUPS=0"


def test_module_that_is_not_compiled_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SPEEDUPS_SWITCH, raising=False)
    monkeypatch.setattr(bulk_send, "compiled_send_waiting", None)
    assert chosen_send_waiting() is None
    assert describe_speedups() == "C module for sending: not compiled"


# -- memory and races


def test_compiler_has_no_warnings(tmp_path: Path) -> None:
    assert compiled(tmp_path, "-Wall", "-Wextra", "-Wshadow") == ""


@pytest.mark.parametrize("sanitizer", ["address,undefined", "thread"])
def test_sanitizers_report_no_errors_while_sockets_are_closed_between_rounds(tmp_path: Path, sanitizer: str) -> None:
    assert compiled(tmp_path, f"-fsanitize={sanitizer}", "-g") == ""
    library = "libtsan.so" if sanitizer == "thread" else "libasan.so"
    found = subprocess.run(
        [program("gcc"), f"-print-file-name={library}"], capture_output=True, text=True, check=True
    ).stdout.strip()
    done = subprocess.run(
        [sys.executable, STRESS, tmp_path],
        env={
            **os.environ,
            "LD_PRELOAD": found,
            "ASAN_OPTIONS": "detect_leaks=0",  # Python itself keeps memory until its end
            "TSAN_OPTIONS": "report_bugs=1 halt_on_error=1",
            "PYTHONMALLOC": "malloc",
        },
        capture_output=True,
        text=True,
        timeout=seconds(100),
    )
    assert (done.stdout, done.returncode) == ("all frames arrived\n", 0), done.stderr


def compiled(directory: Path, *flags: str) -> str:
    """Compile the module into a directory, and return what the compiler says."""
    target = directory / f"_send_many{sysconfig.get_config_var('EXT_SUFFIX')}"
    include = sysconfig.get_paths()["include"]
    command: list[str | Path] = [
        program("gcc"),
        "-O1",
        "-shared",
        "-fPIC",
        "-pthread",
        *flags,
        f"-isystem{include}",
        *SOURCES,
    ]
    done = subprocess.run([*command, "-o", target], capture_output=True, text=True, check=True)
    return done.stderr
