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
from gentrifugo.app.net.bulk_send import SHARED_FROM, SPEEDUPS_SWITCH, SendMany, chosen_send_many, describe_speedups
from tests.parts import ROOT, compiled_send_many, program
from tests.waiting import seconds

MANY = 300
"""Sockets with which the helper thread takes part."""
SOURCE = ROOT / "app" / "net" / "_send_many.c"
STRESS = Path(__file__).parent / "send_many_stress.py"


@pytest.fixture(params=[True, False], ids=["with helper", "alone"])
def send_many(request: pytest.FixtureRequest) -> SendMany:
    compiled = compiled_send_many()
    may_share: bool = request.param
    return lambda descriptors, buffers: compiled(descriptors, buffers, may_share)


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


# -- sending


@pytest.mark.parametrize("count", [1, 63, 64, 65, MANY])
def test_each_socket_gets_its_buffer(send_many: SendMany, pairs: Pairs, count: int) -> None:
    buffers = [b"%d" % number for number in range(count)]
    sent = send_many([ours.fileno() for ours, _ in pairs[:count]], buffers)
    assert sent == [len(buffer) for buffer in buffers]
    assert [theirs.recv(10) for _, theirs in pairs[:count]] == buffers


def test_empty_list_of_buffers_is_sent(send_many: SendMany) -> None:
    assert send_many([], []) == []


def test_results_contain_sent_bytes_and_errors(send_many: SendMany, pairs: Pairs) -> None:
    (full, _), (broken, peer), (fine, receiver), (closed, _) = pairs[:4]
    full.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            full.send(b"x" * 100_000)
    peer.close()
    descriptor = closed.fileno()
    closed.close()
    sent = send_many([full.fileno(), broken.fileno(), fine.fileno(), descriptor], [b"a" * 100_000] * 4)
    assert sent[0] == -EAGAIN
    assert sent[1] == -EPIPE
    assert 0 < sent[2] <= 100_000
    assert sent[3] == -EBADF
    assert receiver.recv(10) == b"a" * 10


# -- wrong arguments


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), "send_many takes two lists of the same length and a bool"),
        (([1],), "send_many takes two lists of the same length and a bool"),
        (([1], [b""], 1), "send_many takes two lists of the same length and a bool"),
        (([1], [], True), "send_many takes two lists of the same length and a bool"),
        (((1,), [b""], True), "send_many takes two lists of the same length and a bool"),
        ((["1"], [b""], True), "an integer is required|cannot be interpreted as an integer"),
        (([1], ["text"], True), "buffers must be bytes, not str"),
        (([1], [bytearray(1)], True), "buffers must be bytes, not bytearray"),
        (([-1], [b""], True), "no descriptor: -1"),
        (([1 << 31], [b""], True), "no descriptor: 2147483648"),
        (([1 << 64], [b""], True), "too large|too big"),
    ],
)
def test_wrong_arguments_raise(arguments: tuple[Any, ...], error: str) -> None:
    send_many: Any = compiled_send_many()
    with pytest.raises((TypeError, ValueError, OverflowError), match=error):
        send_many(*arguments)


# -- processes and threads


def test_forked_process_sends_too(send_many: SendMany, pairs: Pairs) -> None:
    descriptors = [ours.fileno() for ours, _ in pairs]
    send_many(descriptors, [b"1"] * MANY)
    child = os.fork()
    if not child:
        status = 1
        try:
            signal.alarm(int(seconds(10)))
            status = 0 if send_many(descriptors, [b"2"] * MANY) == [1] * MANY else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    send_many(descriptors, [b"3"] * MANY)
    assert {theirs.recv(4) for _, theirs in pairs} == {b"123"}


def test_several_threads_send_at_once(send_many: SendMany, pairs: Pairs) -> None:
    quarter = MANY // 4

    def send(first: int) -> None:
        descriptors = [ours.fileno() for ours, _ in pairs[first : first + quarter]]
        for number in range(100):
            send_many(descriptors, [b"%02d" % number] * quarter)

    threads = [threading.Thread(target=send, args=(first,)) for first in range(0, MANY, quarter)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds(20))
    assert {theirs.recv(1000) for _, theirs in pairs} == {b"".join(b"%02d" % number for number in range(100))}


def test_signals_reach_the_main_thread(send_many: SendMany, pairs: Pairs) -> None:
    send_many([ours.fileno() for ours, _ in pairs], [b"1"] * MANY)
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

    def __call__(self, descriptors: list[int], buffers: list[bytes], may_share: bool) -> list[int]:
        self.shared.append(may_share)
        return [1] * len(buffers)


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
    monkeypatch.setattr(bulk_send, "compiled_send_many", calls)
    chosen = chosen_send_many(lambda: has_spare)
    assert chosen is not None
    assert chosen([1] * count, [b"x"] * count) == [1] * count
    assert calls.shared == [shares]


def test_environment_variable_disables_the_c_module(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled_send_many()
    monkeypatch.delenv(SPEEDUPS_SWITCH, raising=False)
    assert chosen_send_many() is not None
    assert describe_speedups() == "C module for sending: used"
    monkeypatch.setenv(SPEEDUPS_SWITCH, "0")
    assert chosen_send_many() is None
    assert describe_speedups() == "C module for sending: switched off by GENTRIFUGO_SPEEDUPS=0"


def test_module_that_is_not_compiled_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SPEEDUPS_SWITCH, raising=False)
    monkeypatch.setattr(bulk_send, "compiled_send_many", None)
    assert chosen_send_many() is None
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
        SOURCE,
    ]
    done = subprocess.run([*command, "-o", target], capture_output=True, text=True, check=True)
    return done.stderr
