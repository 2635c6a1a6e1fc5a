"""Real server processes for tests: started on a free port, stopped with SIGTERM, their logs read for tracebacks."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.waiting import eventually, seconds

STOP_LIMIT = 10
"""Seconds that a server may take between SIGTERM and its end."""

PROGRAM = Path(sys.executable).parent / "gentrifugo"
LISTENING = re.compile(r"listening on (https?)://\[?([^\s/\]]+)\]?:(\d+)")


class Server:
    """One `gentrifugo` process. `url`, `host` and `port` say where it listens, `log` is all it has printed."""

    def __init__(
        self,
        options: dict[str, Any],
        directory: Path,
        port: int = 0,
        arguments: Sequence[str] = (),
        program: Path | None = None,
    ) -> None:
        self.options = {"secret": "secret", "address": "127.0.0.1", **options}
        self.config_file = directory / "config.json"
        self.config_file.write_text(json.dumps(self.options), encoding="utf-8")
        self._log_file = directory / "server.log"
        command = [str(program or PROGRAM), f"--config={self.config_file}", f"--port={port}", *arguments]
        with self._log_file.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, cwd=directory, env=_environment()
            )
        try:
            self.scheme, self.host, self.port = eventually(self._listening, within=10, what="the server listens")
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        self.url = f"{self.scheme}://{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        return self._log_file.read_text(encoding="utf-8", errors="replace")

    @property
    def secret(self) -> str:
        return str(self.options["secret"])

    def stop(self) -> None:
        """Stop the server with SIGTERM and check that it exits in time, with status 0 and without a traceback.

        Does nothing to a server that has been stopped before.
        """
        if self.process.returncode is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(seconds(STOP_LIMIT))
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still there {seconds(STOP_LIMIT):g} s after SIGTERM; its log:\n{self.log}") from None
        assert status == 0, f"exit status {status}; the log:\n{self.log}"
        self.check_log()

    def kill(self) -> None:
        """Kill the process immediately, like a crash."""
        self.process.kill()
        self.process.wait()

    def check_log(self) -> None:
        """Check that no traceback has been logged."""
        assert "Traceback" not in self.log, f"a traceback in the log:\n{self.log}"

    def _listening(self) -> tuple[str, str, int] | None:
        match = LISTENING.search(self.log)
        if match:
            return match[1], match[2], int(match[3])
        if self.process.poll() is not None:
            raise AssertionError(f"exit status {self.process.returncode} instead of serving; the log:\n{self.log}")
        return None


@contextmanager
def running(
    options: dict[str, Any],
    directory: Path,
    port: int = 0,
    arguments: Sequence[str] = (),
    program: Path | None = None,
) -> Iterator[Server]:
    """Provide a server in a `with` block; `options` are those of its configuration file.

    Without `program` it runs the command that was installed together with the Python that runs the tests.
    """
    server = Server(options, directory, port, arguments, program)
    try:
        yield server
    except BaseException:
        # The failure in hand is the one to report, not what stopping finds on top of it.
        if server.process.returncode is None:
            server.kill()
        raise
    server.stop()


def _environment() -> dict[str, str]:
    """Return the environment without options of the developer."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CENTRIFUGO_")}
