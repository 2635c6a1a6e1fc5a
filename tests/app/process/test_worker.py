"""One worker process as its master sees it; the worker is a process that ignores all signals except KILL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from gentrifugo.app.process import worker as worker_module
from gentrifugo.app.process.supervised import HEARTBEAT_BYTE, READY_BYTE, TRACE_SIGNAL
from gentrifugo.app.process.worker import Worker
from tests.waiting import eventually

DEAF = f"""
import signal, time
for number in (signal.SIGTERM, {int(TRACE_SIGNAL)}):
    signal.signal(number, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(60)
"""


class UnresponsiveProcess:
    """A process that ignores signals: `worker`, and `write`, which writes to its pipe."""

    def __init__(self) -> None:
        reading, self._writing = os.pipe()
        self.process = subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.read(5) == b"deaf\n"
        self.worker = Worker(self.process.pid, reading, 1)

    def write(self, data: bytes) -> None:
        os.write(self._writing, data)
        self.worker.read_pipe()

    def end(self) -> int:
        os.close(self._writing)
        self.worker.kill()
        status = eventually(self.worker.poll_exit)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process.wait()
        return status


@pytest.fixture
def deaf() -> Iterator[UnresponsiveProcess]:
    made = UnresponsiveProcess()
    yield made
    assert made.end() == -signal.SIGKILL


def test_worker_is_ready_after_its_notification(deaf: UnresponsiveProcess) -> None:
    assert not deaf.worker.is_ready
    deaf.write(HEARTBEAT_BYTE)
    assert not deaf.worker.is_ready
    deaf.write(READY_BYTE)
    deaf.write(HEARTBEAT_BYTE)
    assert deaf.worker.is_ready
    assert deaf.worker.poll_exit() is None


def test_worker_that_responds_after_the_stack_trace_request_is_not_killed(
    deaf: UnresponsiveProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "TRACE_TIMEOUT", 0)
    deaf.worker.request_stack_trace()
    deaf.write(b"File x.py, line 1")
    assert deaf.worker.stack_trace == "File x.py, line 1"
    assert deaf.worker.is_overdue
    assert deaf.worker.silent_for() == 0
    deaf.write(HEARTBEAT_BYTE)
    assert deaf.worker.stack_trace == ""
    assert not deaf.worker.is_overdue


def test_suspension_of_the_master_extends_every_deadline(deaf: UnresponsiveProcess) -> None:
    silent = deaf.worker.silent_for()
    deaf.worker.extend_deadlines(60)
    assert deaf.worker.silent_for() < silent
    assert not deaf.worker.is_overdue
    deaf.worker.stop(0)
    assert deaf.worker.is_overdue
    deaf.worker.extend_deadlines(60)
    assert not deaf.worker.is_overdue
