"""A network of a test's own, in which an address can vanish without a packet that says so. Linux, and only for root.

A thread enters a new network namespace, and so does each process that it starts: there they have a loopback device that
nobody else can see, and nothing else.
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
        """From now on no packet to or from this address arrives, and nobody is told."""
        self._run("address", "delete", f"{address}/32", "dev", "lo")

    def _run(self, *arguments: str) -> None:
        subprocess.run([self._ip, *arguments], check=True)


def in_network_of_its_own(test: Callable[[Network], T]) -> T:
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
