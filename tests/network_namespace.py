"""A separate network for a test, in which an address can disappear without a packet. Only for root on Linux.

A thread enters a new network namespace, and so does each process that it starts. The namespace has only a loopback
device, which no other process can use.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from tests.parts import program

CLONE_NEWNET = 0x40000000
"""Of unshare(2): leave the network of the parent."""

T = TypeVar("T")


class Network:
    """Addresses on the loopback device of this network; `127.0.0.1` is always there."""

    def __init__(self) -> None:
        self._ip = program("ip")
        self._run("link", "set", "lo", "up")

    def add(self, address: str) -> None:
        """Let connections to this address come from it, too."""
        self._run("address", "add", f"{address}/32", "dev", "lo")

    def lose(self, address: str) -> None:
        """Drop all further packets to and from this address, without an error to either side."""
        self._run("address", "delete", f"{address}/32", "dev", "lo")

    def _run(self, *arguments: str) -> None:
        subprocess.run([self._ip, *arguments], check=True)


def run_in_separate_network(test: Callable[[Network], T]) -> T:
    """Run a function in a thread with a network of its own; skips the test where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a network namespace")
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_enter_and_run, test).result()


def _enter_and_run(test: Callable[[Network], T]) -> T:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return test(Network())
