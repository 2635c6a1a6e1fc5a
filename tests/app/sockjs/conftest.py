"""Fixtures for SockJS: the four standard services in a separate process, directly on the socket and over WSGI."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest

from tests.parts import ROOT
from tests.sockjs_client import Service

MODULES = {"direct": "tests.sockjs_testserver", "stock": "tests.sockjs_stock_server"}


@contextmanager
def running(module: str, log_file: str) -> Iterator[tuple[str, int]]:
    """Host and port of a test server; at the end it must still run, and must have logged no error."""
    command = [sys.executable, "-m", module, *(["--port=0"] if module == MODULES["direct"] else [])]
    with open(log_file, "wb") as log:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, cwd=ROOT)
    with server:
        assert server.stdout is not None
        try:
            line = server.stdout.readline().decode()
            match = re.search(r"http://(.*):(\d+)", line)
            assert match, line
            yield match[1], int(match[2])
            assert server.poll() is None, "the server has gone"
        finally:
            server.terminate()
    with open(log_file, encoding="utf-8", errors="replace") as log:
        assert "Traceback" not in (text := log.read()), text


@pytest.fixture(scope="module", params=MODULES)
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """Return the address of the standard services: under Gentrifugo's handler, and under that of the stock worker."""
    log_file = tmp_path_factory.mktemp("sockjs") / "server.log"
    with running(MODULES[request.param], str(log_file)) as address:
        yield address


@pytest.fixture
def service_at(address: tuple[str, int]) -> Iterator[Callable[[str], Service]]:
    """Return a function that connects to one of the services, by its prefix."""
    with ExitStack() as services:
        yield lambda prefix: services.enter_context(closing(Service(*address, prefix)))


@pytest.fixture
def echo(service_at: Callable[[str], Service]) -> Service:
    return service_at("/echo")


@pytest.fixture
def close(service_at: Callable[[str], Service]) -> Service:
    return service_at("/close")
