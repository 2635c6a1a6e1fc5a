"""The Autobahn test suite, run by kosoku, tests the raw WebSocket of the SockJS test server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.parts import ROOT
from tests.waiting import seconds

IS_WHOLE = os.environ.get("AUTOBAHN") == "all"
LIMIT = 600 if IS_WHOLE else 120
"""Seconds that the suite may take."""

pytestmark = pytest.mark.timeout(seconds(LIMIT))

NUM_CASES = 517
"""All of the suite."""
LONG = ("12.*.2", "12.*.[4-9]", "12.*.1[0-8]", "13.*.2", "13.*.[4-9]", "13.*.1[0-8]")
"""Cases about compression that differ from others in the size of their messages alone. They take four minutes, and are
run when the environment has AUTOBAHN=all."""
NUM_LONG = 192
LATE = {"6.4.3", "6.4.4"}
"""Invalid UTF-8 in a frame whose rest has not come: could be answered at once, is when the frame is whole."""
FREE = {"7.1.6", "7.13.1", "7.13.2"}
"""Cases in which the RFC leaves open what a server does."""

Verdicts = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def echo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an echo server; at the end it must still run, and must have logged no error."""
    log_file = tmp_path_factory.mktemp("echo") / "server.log"
    with log_file.open("wb") as log:
        command = [sys.executable, "-m", "tests.sockjs_testserver", "--port=0"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, cwd=ROOT)
    with server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().decode().strip().rpartition("/")[2] + "/echo/websocket"
            assert server.poll() is None, "the server has gone"
        finally:
            server.terminate()
    assert not log_file.read_text(encoding="utf-8", errors="replace")


@pytest.fixture(scope="module")
def verdicts(echo_server: str, tmp_path_factory: pytest.TempPathFactory) -> Verdicts:
    """The result of each case, by its number; the full report stays in the same directory."""
    assert echo_server, "the server has not started"
    report = tmp_path_factory.mktemp("autobahn")
    program = str(Path(sys.executable).parent / "kosoku")
    # Its exit status counts what is not implemented as a failure; the report tells one from the other.
    left_out = [] if IS_WHOLE else [f"--exclude={case}" for case in LONG]
    command = [program, "--parallelism=2", f"--outdir={report}", *left_out, echo_server]
    run = subprocess.run(command, capture_output=True, timeout=seconds(LIMIT))
    index = report / "index.json"
    assert index.exists(), f"kosoku wrote no report: {run.stderr.decode()}"
    (cases,) = json.loads(index.read_text(encoding="utf-8")).values()
    return dict(cases)


def test_every_autobahn_case_is_run(verdicts: Verdicts) -> None:
    assert len(verdicts) == (NUM_CASES if IS_WHOLE else NUM_CASES - NUM_LONG)


def test_server_passes_the_autobahn_test_suite(verdicts: Verdicts) -> None:
    behaviour = {case: verdict["behavior"] for case, verdict in verdicts.items()}
    assert behaviour == {case: _expected_behaviour(case) for case in verdicts}


def test_the_server_closes_cleanly(verdicts: Verdicts) -> None:
    closing = {case: verdict["behaviorClose"] for case, verdict in verdicts.items()}
    assert closing == {case: "INFORMATIONAL" if case in FREE else "OK" for case in verdicts}


def _expected_behaviour(case: str) -> str:
    if case in LATE:
        return "NON-STRICT"
    return "INFORMATIONAL" if case in FREE else "OK"
