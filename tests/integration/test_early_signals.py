"""Signals that arrive while a server or one of its workers starts: they have the same effect as later ones."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.api_client import APIClient
from tests.redis_server import RedisServer, redis_server
from tests.servers import LISTENING
from tests.waiting import eventually, seconds

PROGRAM = str(Path(sys.executable).parent / "gentrifugo")
WORKERS = 2
WARNING = re.compile(r"WARNING .*read_by_nobody")
"""Each process warns of an unknown option when it has read the file, and before it handles signals."""
ATTEMPTS = 30
"""Attempts to suspend a process after this warning and before it is ready."""


class Starting:
    """A `gentrifugo` process that perhaps does not serve yet. `log` is what it and its workers have logged."""

    def __init__(self, directory: Path, options: dict[str, Any]) -> None:
        self.log_file = directory / "log"
        self.pid_file = directory / "pid"
        self._config_file = directory / "config.json"
        self._options = {"secret": "first", "address": "127.0.0.1", "read_by_nobody": True, **options}
        self._options |= {"log_file": str(self.log_file), "pid_file": str(self.pid_file)}
        self.log_file.unlink(missing_ok=True)
        self.write()
        self.process = subprocess.Popen([PROGRAM, f"--config={self._config_file}", "--port=0"])

    @property
    def log(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""

    @property
    def warnings(self) -> int:
        return len(WARNING.findall(self.log))

    def write(self, **options: Any) -> None:
        """Write the configuration file, with other values of some options."""
        self._config_file.write_text(json.dumps({**self._options, **options}))

    def reload(self, **options: Any) -> None:
        """Write the configuration file, and send SIGHUP to the process."""
        self.write(**options)
        os.kill(self.process.pid, signal.SIGHUP)

    def reload_invalid(self) -> None:
        self._config_file.write_text("{")
        os.kill(self.process.pid, signal.SIGHUP)

    def wait_for(self, text: str, count: int = 1) -> None:
        eventually(lambda: self.log.count(text) >= count, within=30, what=lambda: f"{text!r} in the log:\n{self.log}")

    def status_with(self, secret: str) -> int:
        """The status of the answer to a request that is signed with a secret."""
        match = LISTENING.search(self.log)
        assert match
        return APIClient(match[2], int(match[3]), secret).post('{"method": "node"}').status

    def workers(self) -> set[psutil.Process]:
        return set(psutil.Process(self.process.pid).children())

    def is_ready(self, worker: psutil.Process) -> bool:
        return f"worker {worker.pid} ready\n" in self.log

    def wait_until_ready(self) -> None:
        """Wait until all workers are ready."""

        def are_ready() -> bool:
            workers = self.workers()
            return len(workers) == WORKERS and all(self.is_ready(worker) for worker in workers)

        eventually(are_ready, within=30, what=lambda: f"all workers are ready:\n{self.log}")

    def stop(self) -> None:
        """Stop the process, which must end with status 0 and without a traceback."""
        os.kill(self.process.pid, signal.SIGTERM)
        assert self.process.wait(seconds(15)) == 0, self.log
        assert "Traceback" not in self.log


Start = Callable[..., Starting]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start processes with options; at the end those that still run are killed."""
    with ExitStack() as stack:

        def start_one(**options: Any) -> Starting:
            started = Starting(tmp_path, options)
            stack.callback(started.process.wait)
            stack.callback(started.process.kill)
            return started

        yield start_one


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def server(start: Start, redis: RedisServer) -> Starting:
    """A server with two workers, which both serve."""
    server = start(workers=WORKERS, **redis.options)
    server.wait_for(" ready\n", WORKERS)
    return server


def suspend(process: psutil.Process) -> None:
    process.suspend()
    eventually(lambda: process.status() == psutil.STATUS_STOPPED)


@contextmanager
def suspended(process: psutil.Process) -> Iterator[None]:
    suspend(process)
    try:
        yield
    finally:
        process.resume()


def suspend_starting(start: Start) -> Starting:
    """Start a server without workers, and suspend it when it has read the file and does not serve yet."""
    for _ in range(ATTEMPTS):
        server = start()
        eventually(lambda: server.warnings, within=30)  # noqa: B023 (called at once)
        suspend(psutil.Process(server.process.pid))
        if "listening" not in server.log:
            return server
        server.process.kill()
        server.process.wait()
    raise AssertionError("every server served too soon")


def suspend_replacement(server: Starting) -> tuple[psutil.Process, psutil.Process]:
    """Kill a worker. Return the other one, and the suspended new one, which has read the file and is not ready."""
    for _ in range(ATTEMPTS):
        survivor, victim = server.workers()
        warnings = server.warnings
        victim.kill()
        eventually(lambda: server.warnings > warnings, within=30)  # noqa: B023 (called at once)
        (new,) = server.workers() - {survivor, victim}
        suspend(new)
        if not server.is_ready(new):
            return survivor, new
        new.resume()
    raise AssertionError("every new worker was ready too soon")


def test_reload_reaches_a_server_that_is_starting(start: Start) -> None:
    server = suspend_starting(start)
    server.reload(secret="second")
    server.reload(secret="third")
    server.process.send_signal(signal.SIGCONT)
    server.wait_for("configuration reloaded")
    server.wait_for("listening")
    assert [server.status_with(secret) for secret in ("first", "second", "third")] == [401, 401, 200]
    server.stop()


def test_a_server_that_is_starting_keeps_its_options_if_the_file_becomes_invalid(start: Start) -> None:
    server = suspend_starting(start)
    server.reload_invalid()
    server.process.send_signal(signal.SIGCONT)
    server.wait_for("invalid configuration, keeping the current one")
    server.wait_for("listening")
    assert server.status_with("first") == 200
    server.stop()


def test_usr1_reaches_a_server_that_is_starting(start: Start) -> None:
    server = suspend_starting(start)
    server.log_file.rename(server.log_file.with_name("log.1"))
    server.process.send_signal(signal.SIGUSR1)
    server.process.send_signal(signal.SIGCONT)
    server.wait_for("SIGUSR1: log file")
    server.stop()


def test_a_term_after_the_pid_file_is_written_stops_a_server_gracefully(start: Start) -> None:
    for _ in range(3):
        server = start()
        deadline = time.monotonic() + seconds(30)
        while not server.pid_file.exists():  # without pauses, to send the signal at once
            assert server.process.poll() is None
            assert time.monotonic() < deadline
        server.stop()
        assert not server.pid_file.exists()


def test_reload_reaches_a_worker_that_is_starting(server: Starting) -> None:
    survivor, new = suspend_replacement(server)
    server.reload(secret="second")
    server.reload(secret="third")
    server.wait_for("configuration reloaded")
    new.resume()
    server.wait_until_ready()
    with suspended(survivor):  # so that the new worker accepts every connection
        assert [server.status_with(secret) for secret in ("first", "second", "third")] == [401, 401, 200]
    server.stop()


def test_a_worker_that_is_starting_does_not_keep_options_that_were_replaced(server: Starting) -> None:
    """The file becomes invalid after the reload, and before the worker can read it again."""
    survivor, new = suspend_replacement(server)
    server.reload(secret="second")
    server.wait_for("configuration reloaded")
    server.reload_invalid()
    server.wait_for("invalid configuration, keeping the current one")
    new.resume()
    server.wait_for(f"worker {new.pid} failed during startup (exit status 1), retrying in")
    assert server.workers() == {survivor}
    assert server.status_with("second") == 200
    server.reload(secret="third")
    server.wait_until_ready()
    with suspended(survivor):
        assert server.status_with("third") == 200
    server.stop()


def test_usr1_reaches_a_worker_that_is_starting(server: Starting) -> None:
    _, new = suspend_replacement(server)
    rotated = server.log_file.with_name("log.1")
    server.log_file.rename(rotated)
    os.kill(server.process.pid, signal.SIGUSR1)
    server.wait_for("SIGUSR1: log file", WORKERS)  # the master, and the worker that was ready
    new.resume()
    server.wait_for("SIGUSR1: log file", WORKERS + 1)
    assert f"worker {new.pid} ready" in server.log + rotated.read_text()
    server.stop()


STARTS_A_PROCESS = """
import subprocess, sys
from flask import Flask
from gentrifugo import Gentrifugo

app = Flask(__name__)
app.config["SECRET_KEY"] = "long-random-key-of-a-test"
Gentrifugo(app)
PRINT = "import signal; print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])), flush=True)"
subprocess.run([sys.executable, "-c", PRINT], check=True)
"""


def test_a_process_that_an_application_starts_at_its_import_receives_signals(tmp_path: Path) -> None:
    path = tmp_path / "starting.py"
    path.write_text(STARTS_A_PROCESS)
    log = tmp_path / "output"
    with log.open("wb") as output:
        command = [PROGRAM, "--app", str(path), "--address=127.0.0.1", "--port=0"]
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        eventually(lambda: "listening" in log.read_text(), within=30, what=log.read_text)
        process.terminate()
        assert process.wait(seconds(15)) == 0
    finally:
        process.kill()
        process.wait()
    assert "[]" in log.read_text().splitlines()
