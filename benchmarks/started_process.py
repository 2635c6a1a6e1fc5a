"""Starts programs for a benchmark, waits until they are ready, and stops them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.errors import BenchmarkError

START_TIMEOUT = 20.0
"""Seconds until a program must be ready."""
STOP_TIMEOUT = 30.0
"""Seconds that a program may take to stop after SIGTERM, before it is killed."""
KILL_TIMEOUT = 2.0
"""Seconds until processes have ended that were killed."""
CHECK_INTERVAL = 0.05
"""Seconds between two checks whether a program is ready."""
SHOWN_LINES = 20
"""Lines of output that an error shows."""


class StartedProcess:
    """A program in a process group of its own, whose output goes to a file."""

    def __init__(self, process: subprocess.Popen[bytes], name: str, log: Path) -> None:
        self.pid = process.pid
        self.name = name
        """What errors call the program."""
        self._process = process
        self._log = log

    @property
    def output(self) -> str:
        """Everything that the program has written so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def poll_until(self, what: str, limit: float = START_TIMEOUT) -> Iterator[None]:
        """Yield repeatedly, until the caller stops; `what` describes the awaited event.

        Raises BenchmarkError with the output of the program when it exits, or after `limit` seconds.
        """
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            yield
            status = self._process.poll()
            if status is not None:
                raise BenchmarkError(f"{self.name} exited with status {status} before {what}{self._last_lines()}")
            time.sleep(CHECK_INTERVAL)
        raise BenchmarkError(f"{self.name}: timeout after {limit:g} s before {what}{self._last_lines()}")

    def stop(self) -> None:
        """Stop the program and all that it has started in its process group."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                pass
        self._process.kill()
        self._process.wait()
        self._kill_group()

    def _kill_group(self) -> None:
        """Kill the remaining processes of the program, such as children of a shell, and wait until they have exited."""
        deadline = time.monotonic() + KILL_TIMEOUT
        try:
            while time.monotonic() < deadline:
                os.killpg(self.pid, signal.SIGKILL)
                time.sleep(CHECK_INTERVAL)
        except ProcessLookupError:
            pass

    def _last_lines(self) -> str:
        lines = self.output.splitlines()[-SHOWN_LINES:]
        return "; its output:\n" + "\n".join(f"  {line}" for line in lines) if lines else "; no output"


@contextmanager
def run_program(
    command: Sequence[str], name: str, directory: Path | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[StartedProcess]:
    """Run a command during a `with` block. Raises BenchmarkError if the program does not exist."""
    if shutil.which(command[0]) is None:
        raise BenchmarkError(f"{name}: {command[0]} is neither an executable file nor a command on the PATH")
    with TemporaryDirectory(prefix="gentrifugo-bench-") as temporary:
        log = Path(temporary) / "output.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=environment,
                start_new_session=True,  # so that workers and children of a shell are stopped with it
            )
        program = StartedProcess(process, name, log)
        try:
            yield program
        finally:
            program.stop()


def stop_on_sigterm() -> None:
    """Let SIGTERM end this program like Ctrl-C, so that the started servers are stopped, too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def server_environment() -> dict[str, str]:
    """Return the environment for a server, without variables that would change its options and so what is measured."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CENTRIFUGO_")}
