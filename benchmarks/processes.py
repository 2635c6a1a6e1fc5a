"""Measures processes and the whole machine: CPU time, memory, open files. Linux only."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from benchmarks.errors import BenchmarkError

T = TypeVar("T")

PROC = Path("/proc")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE


def cpu_seconds(stat: bytes) -> float:
    """Return user and system time of all threads from the text of /proc/PID/stat; the resolution is mostly 10 ms."""
    # The name of the program stands in parentheses and may hold anything, spaces and parentheses too.
    fields = stat[stat.rindex(b")") + 2 :].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def machine_cpu_seconds(stat: bytes) -> float:
    """Return the busy seconds of all processors, including stolen time, from the text of /proc/stat."""
    user, nice, system, _, _, interrupts, soft_interrupts, stolen = map(int, stat.split(maxsplit=9)[1:9])
    return (user + nice + system + interrupts + soft_interrupts + stolen) / TICKS_PER_SECOND


def machine_cpu() -> float:
    """Return the busy seconds of all processors since the start of the machine."""
    return machine_cpu_seconds((PROC / "stat").read_bytes())


def resident_bytes(statm: bytes) -> int:
    """Return the resident memory in bytes from the text of /proc/PID/statm."""
    return int(statm.split()[1]) * PAGE_SIZE


class Processes:
    """One or more processes, measured together. Every method raises BenchmarkError if one of them does not exist."""

    def __init__(self, pids: Sequence[int]) -> None:
        self.pids = tuple(pids)
        self._directories = [PROC / str(pid) for pid in pids]
        self.cpu()  # a wrong pid is better known now than after a minute of load

    def cpu(self) -> float:
        """Return the used CPU time in seconds."""
        return sum(self._each(lambda directory: cpu_seconds((directory / "stat").read_bytes())))

    def memory(self) -> int:
        """Return the bytes of RAM in use."""
        return sum(self._each(lambda directory: resident_bytes((directory / "statm").read_bytes())))

    def open_files(self) -> int:
        """Return the number of open files and sockets."""
        return sum(self._each(lambda directory: len(os.listdir(directory / "fd"))))

    def _each(self, read: Callable[[Path], T]) -> list[T]:
        return [_read(directory, read) for directory in self._directories]


def process_tree(pid: int) -> list[int]:
    """Return the process IDs of a process and of all its descendants."""
    children: dict[int, list[int]] = {}
    for directory in PROC.iterdir():
        if directory.name.isdigit():
            try:
                stat = (directory / "stat").read_bytes()
            except OSError:  # it has ended since the directory was listed
                continue
            parent = int(stat[stat.rindex(b")") + 2 :].split()[1])
            children.setdefault(parent, []).append(int(directory.name))
    tree = [pid]
    for each in tree:
        tree += children.get(each, [])
    return tree


def _read(directory: Path, read: Callable[[Path], T]) -> T:
    try:
        return read(directory)
    except PermissionError:
        raise BenchmarkError(f"permission denied: process {directory.name} belongs to another user") from None
    except (OSError, IndexError, ValueError):
        raise BenchmarkError(f"process {directory.name} does not exist") from None
