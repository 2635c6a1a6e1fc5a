"""Responses of other servers: how much of a response is read, and that other greenlets run in the meantime."""

from __future__ import annotations

import subprocess
import sys
from socket import gaierror

import pytest
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError

from gentrifugo.app.http.outgoing import (
    MAX_RECEIVED,
    MAX_RESPONSE_SIZE,
    BoundedClient,
    RequestFailed,
    ResponseTooLarge,
    failure_of,
    http_client,
)
from tests.hook_backend import ENDLESS_ANSWERS, Backend, endless_backend, hook_backend
from tests.redis_server import free_port
from tests.waiting import seconds


def read(url: str, size: int = 100) -> bytes:
    """The first bytes of a body, without the limits of BoundedClient."""
    client = http_client(1, seconds(5))
    response = client.request("POST", url, body=b"{}", preload_content=False, redirect=False, retries=False)
    return response.read(size)


def large_answer(backend: Backend) -> bytes:
    text = "x" * (MAX_RECEIVED - 1000)
    backend.answer = lambda event: (200, text)
    return text.encode()


def test_a_response_may_be_nearly_as_large_as_the_limit() -> None:
    with hook_backend() as backend:
        text = large_answer(backend)
        assert read(backend.url, MAX_RECEIVED) == text


@pytest.mark.parametrize("kind", ENDLESS_ANSWERS)
def test_a_response_without_an_end_is_refused_after_a_limit(kind: str) -> None:
    with endless_backend(kind) as backend, pytest.raises(ProtocolError, match=f"larger than {MAX_RECEIVED} bytes"):
        read(backend.url, MAX_RECEIVED)


TURNS = """
from gevent import monkey; monkey.patch_all()
import sys, time
import gevent
from urllib3.exceptions import HTTPError
from gentrifugo.app.http.outgoing import http_client
turns, ended = 0, False
def count():
    global turns
    while not ended:
        turns += 1
        gevent.sleep(0.001)
counting = gevent.spawn(count)
gevent.sleep(0.01)
turns = 0
try:
    http_client(1, 60).request("POST", sys.argv[1], body=b"", preload_content=False, retries=False).read(1 << 21)
except HTTPError as error:
    print("turns" if turns > 3 else f"no turns: {turns}")
ended = True
counting.join()
"""


@pytest.mark.parametrize("kind", ENDLESS_ANSWERS)
def test_other_greenlets_run_while_a_response_without_an_end_is_read(kind: str) -> None:
    """This runs in a separate process, in which gevent has patched the sockets."""
    with endless_backend(kind) as backend:
        command = [sys.executable, "-c", TURNS, backend.url]
        result = subprocess.run(command, capture_output=True, text=True, timeout=seconds(30))
    assert result.stdout == "turns\n", result.stderr


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_failed_connection_is_described_with_host_port_and_reason(scheme: str) -> None:
    port = free_port()
    with pytest.raises(HTTPError) as caught:
        read(f"{scheme}://127.0.0.1:{port}/")
    assert failure_of(caught.value) == f"cannot connect to 127.0.0.1:{port}: Connection refused"


@pytest.mark.parametrize(
    ("host", "cause", "text"),
    [
        ("::1", ConnectionRefusedError(111, "Connection refused"), "[::1]:9: Connection refused"),
        ("missing", gaierror(-2, "Name or service not known"), "missing:9: Name or service not known"),
        ("missing", None, "missing:9: no reason"),
    ],
)
def test_failed_connection_is_described_without_names_of_classes(host: str, cause: OSError | None, text: str) -> None:
    error = NewConnectionError(HTTPConnection(host, 9), "no reason")
    error.__cause__ = cause
    assert failure_of(error) == f"cannot connect to {text}"


def test_other_failures_keep_their_text() -> None:
    assert failure_of(ProtocolError("broken")) == "broken"


def test_a_body_may_be_as_large_as_the_limit_but_no_larger() -> None:
    client, text = BoundedClient(1, seconds(5)), "x" * MAX_RESPONSE_SIZE
    with hook_backend() as backend:
        backend.answer = lambda event: (200, text)
        assert client.request("POST", backend.url, b"{}").body() == text.encode()
        backend.answer = lambda event: (503, text + "x")
        response = client.request("POST", backend.url, b"{}")
        with pytest.raises(ResponseTooLarge, match=f"larger than {MAX_RESPONSE_SIZE} bytes"):
            response.body()
        assert response.status == 503
        backend.answer = lambda event: (200, "next")
        assert client.request("POST", backend.url, b"{}").body() == b"next"


def test_a_failed_request_says_why() -> None:
    port = free_port()
    with pytest.raises(RequestFailed, match=f"^cannot connect to 127.0.0.1:{port}: Connection refused$"):
        BoundedClient(1, seconds(5)).request("GET", f"http://127.0.0.1:{port}/")
