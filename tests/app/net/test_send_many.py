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
from gentrifugo.app.net.bulk_send import SPEEDUPS_SWITCH, SendMany, chosen_send_many, describe_speedups
from tests.parts import ROOT, compiled_send_many, program
from tests.waiting import seconds

MANY = 300
"""Sockets with which the helper thread takes part."""
SOURCE = ROOT / "app" / "net" / "_send_many.c"
STRESS = Path(__file__).parent / "send_many_stress.py"


@pytest.fixture
def send_many() -> SendMany:
    return compiled_send_many()


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
        ((), "send_many takes two lists of the same length"),
        (([1],), "send_many takes two lists of the same length"),
        (([1], []), "send_many takes two lists of the same length"),
        (((1,), [b""]), "send_many takes two lists of the same length"),
        ((["1"], [b""]), "an integer is required|cannot be interpreted as an integer"),
        (([1], ["text"]), "buffers must be bytes, not str"),
        (([1], [bytearray(1)]), "buffers must be bytes, not bytearray"),
        (([-1], [b""]), "no descriptor: -1"),
        (([1 << 31], [b""]), "no descriptor: 2147483648"),
        (([1 << 64], [b""]), "too large|too big"),
    ],
)
def test_wrong_arguments_raise(send_many: Any, arguments: tuple[Any, ...], error: str) -> None:
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


def test_environment_variable_disables_the_c_module(monkeypatch: pytest.MonkeyPatch, send_many: SendMany) -> None:
    monkeypatch.delenv(SPEEDUPS_SWITCH, raising=False)
    assert chosen_send_many() is send_many
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
