"""The system calls of hot paths: a change that adds one for each operation fails here, on any machine."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPResponse

import pytest

from tests.credentials import API_KEY
from tests.parts import program
from tests.protocol_client import ProtocolClient
from tests.servers import Server
from tests.waiting import seconds

OPERATIONS = 100
EVENT_LOOP = {"epoll_wait", "getpid"}
"""Calls of each turn of the event loop: how many operations share a turn depends on the machine."""
MEMORY = {"brk", "futex", "madvise", "mmap", "munmap", "restart_syscall", "rt_sigprocmask"}
"""Calls whose number depends on what happened before."""


@contextmanager
def traced(pid: int) -> Iterator[Counter[str]]:
    """Count the system calls of a process in a `with` block; the counter has them after its end."""
    counts: Counter[str] = Counter()
    command = [program("strace"), "--follow-forks", "--summary-only", "--summary-columns=calls,name", "-p", str(pid)]
    strace = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert strace.stderr is not None
    try:
        line = strace.stderr.readline()
        if "not permitted" in line:
            pytest.skip("strace may not trace processes here: the system forbids ptrace")
        assert "attached" in line, line
        yield counts
    finally:
        strace.send_signal(signal.SIGINT)
        _, text = strace.communicate(timeout=seconds(10))
    counts.update({name: int(calls) for calls, name in re.findall(r"^\s*(\d+) (\w+)$", text, re.MULTILINE)})


@contextmanager
def backend(server: Server) -> Iterator[Callable[[str, object], None]]:
    """A function that calls a method of the HTTP API, all over one connection, each request in one write.

    `http.client` writes the head and the body one after the other, which a server that is fast enough reads apart.
    """
    connection = socket.create_connection((server.host, server.port), timeout=seconds(5))

    def post(method: str, params: object) -> None:
        body = json.dumps(params).encode()
        head = f"POST /api/{method} HTTP/1.1\r\nHost: {server.host}\r\nX-API-Key: {API_KEY}\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        with HTTPResponse(connection) as response:
            response.begin()
            assert (response.status, b"error" in response.read()) == (200, False)

    with closing(connection):
        yield post


def calls_per_operation(counts: Counter[str]) -> dict[str, int]:
    """The system calls of one operation, without those of the event loop and of memory, and without rare ones."""
    calls = {name: round(count / OPERATIONS) for name, count in counts.items()}
    return {name: count for name, count in calls.items() if count and name not in EVENT_LOOP | MEMORY | {"total"}}


def test_api_request_is_one_read_and_one_write(start_server: Callable[..., Server]) -> None:
    server = start_server(api_key=API_KEY)
    with backend(server) as post:
        post("publish", {"channel": "news", "data": 0})
        with traced(server.pid) as counts:
            for number in range(OPERATIONS):
                post("publish", {"channel": "news", "data": number})
    assert calls_per_operation(counts) == {"recvfrom": 1, "sendto": 1}


def test_messages_of_a_batch_are_one_write_for_each_subscriber(start_server: Callable[..., Server]) -> None:
    server = start_server(api_key=API_KEY)
    with ProtocolClient(server, "user") as client, backend(server) as post:
        client.subscribe("news")
        with traced(server.pid) as counts:
            for number in range(OPERATIONS):
                post("batch", {"commands": [{"publish": {"channel": "news", "data": number}}] * 20})
                for _ in range(20):
                    assert client.message() == number
    assert calls_per_operation(counts) == {"recvfrom": 1, "sendto": 2}


def test_client_connects_and_subscribes_with_few_calls(start_server: Callable[..., Server]) -> None:
    server = start_server(api_key=API_KEY)
    clients = []
    with traced(server.pid) as counts:
        for number in range(OPERATIONS):
            client = ProtocolClient(server, f"user{number}")
            client.subscribe("news")
            clients.append(client)
    for client in clients:
        client.close()
    calls = calls_per_operation(counts)
    assert {name: calls[name] for name in ("sendto", "epoll_ctl")} == {"sendto": 3, "epoll_ctl": 1}
    assert calls["recvfrom"] in (3, 4)  # the first request is read at once, and again if it had not arrived
    assert calls.keys() <= {
        "accept4",
        "epoll_ctl",
        "fcntl",
        "getrandom",
        "getsockname",
        "ioctl",
        "recvfrom",
        "sendto",
    }
