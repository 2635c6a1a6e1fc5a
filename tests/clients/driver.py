"""Starts a client program and communicates with it in lines of JSON: commands to the program, events from it."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from tests.parts import node_package, program
from tests.waiting import seconds

HERE = Path(__file__).parent
PATIENCE = 10
"""Seconds to wait for an event."""


class Driver:
    """A running client program. Leaving its `with` block ends it."""

    def __init__(self, command: list[str], environment: dict[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            encoding="utf-8",
        )
        self._arrived: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._waiting: list[dict[str, Any]] = []
        self._errors: list[str] = []
        self._threads = [threading.Thread(target=self._read_events), threading.Thread(target=self._read_errors)]
        for thread in self._threads:
            thread.start()

    def send(self, **command: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def read(self, within: float = PATIENCE) -> dict[str, Any]:
        """Return the next event that no `wait_for` has taken."""
        return self._waiting.pop(0) if self._waiting else self._next(time.monotonic() + seconds(within))

    def wait_for(self, event: str, within: float = PATIENCE, **fields: Any) -> dict[str, Any]:
        """Return the first event of this name with these fields; others that come before it stay for later."""
        deadline = time.monotonic() + seconds(within)
        index = 0
        while True:
            if index == len(self._waiting):
                try:
                    self._waiting.append(self._next(deadline))
                except TimeoutError:
                    raise AssertionError(f"no {event} {fields or ''}; instead: {self._waiting}") from None
            found = self._waiting[index]
            if found.get("event") == event and fields.items() <= found.items():
                return self._waiting.pop(index)
            index += 1

    def seen(self, duration: float = 0) -> list[dict[str, Any]]:
        """Return all events that nobody has taken, after waiting a while for more."""
        deadline = time.monotonic() + seconds(duration)
        try:
            while True:
                self._waiting.append(self._next(deadline))
        except TimeoutError:
            return self._waiting

    def stop(self) -> None:
        """End the program by ending its input."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # It ended before it had read everything.
        try:
            self._process.wait(seconds(PATIENCE))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def __enter__(self) -> Driver:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _next(self, deadline: float) -> dict[str, Any]:
        try:
            event = self._arrived.get(timeout=max(deadline - time.monotonic(), 0.001))
        except queue.Empty:
            raise TimeoutError from None
        if event is None:
            raise AssertionError(f"the client ended:\n{''.join(self._errors)}")
        return event

    def _read_events(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            # A library that logs to standard output is not talking to us.
            if line.startswith("{"):
                self._arrived.put(json.loads(line))
        self._arrived.put(None)

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        self._errors.extend(self._process.stderr)


def node_driver(script: str, *arguments: str, package: str) -> Driver:
    """Start a Node program in tests/clients, which needs `package`."""
    node_package(package)
    return Driver([program("node"), str(HERE / script), *arguments])
