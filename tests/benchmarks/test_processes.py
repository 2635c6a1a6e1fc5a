"""CPU time, memory and files of processes, from /proc."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.processes import (
    MEBIBYTE,
    PAGE_SIZE,
    TICKS_PER_SECOND,
    Processes,
    cpu_seconds,
    machine_cpu,
    machine_cpu_seconds,
    resident_bytes,
)

STAT = b"4242 (%b) S 1 4242 4242 0 -1 4194304 500 0 0 0 120 30 7 9 20 0 1 0 100 1000 200 0 0\n"


@pytest.mark.parametrize("name", [b"python3", b"a b", b"odd) S 1 (name"])
def test_cpu_is_user_and_system_time_for_any_program_name(name: bytes) -> None:
    assert cpu_seconds(STAT % name) == 150 / TICKS_PER_SECOND


def test_memory_is_the_resident_size() -> None:
    assert resident_bytes(b"30000 1234 800 2 0 9000 0\n") == 1234 * PAGE_SIZE


def test_the_machine_works_except_when_it_is_idle_or_waits_for_a_disk() -> None:
    stat = b"cpu  100 1 20 99999 8888 3 4 5 0 0\ncpu0 50 0 10 5000 400 1 2 2 0 0\nintr 1 2 3\n"
    assert machine_cpu_seconds(stat) == 133 / TICKS_PER_SECOND
    assert machine_cpu() > 0


def test_a_process_that_works_uses_cpu() -> None:
    process = Processes([os.getpid()])
    before = process.cpu()
    while process.cpu() == before:
        sum(range(10_000))
    assert process.memory() > MEBIBYTE
    assert process.open_files() > 2


def test_several_processes_count_as_one() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        alone, together = Processes([os.getpid()]), Processes([os.getpid(), other.pid])
        assert together.memory() > alone.memory()
        assert together.open_files() > alone.open_files()


def test_a_process_that_has_ended_is_named() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    with pytest.raises(BenchmarkError, match=f"process {process.pid} does not exist"):
        Processes([process.pid])
