"""Behaviour of the test server as a program."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys

import pytest

from tests.parts import ROOT
from tests.waiting import seconds

COMMAND = [sys.executable, "-m", "tests.sockjs_testserver"]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_testserver_prints_its_address_and_exits_without_output(name: str) -> None:
    with subprocess.Popen([*COMMAND, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as server:
        assert server.stdout is not None
        assert server.stdout.readline().startswith(b"listening on http://127.0.0.1:")
        server.send_signal(getattr(signal, name))
        _, errors = server.communicate(timeout=seconds(5))
    assert b"Traceback" not in errors, errors


def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = subprocess.run([*COMMAND, f"--port={port}"], capture_output=True, text=True, cwd=ROOT)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == f"cannot listen on 127.0.0.1, port {port}: Address already in use\n"
