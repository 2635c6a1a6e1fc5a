"""A real gunicorn with one of the two workers that serve Gentrifugo."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.api_client import APIClient
from tests.servers import Server, running
from tests.waiting import eventually, seconds

GENTRIFUGO_WORKER = "gentrifugo.GentrifugoWorker"
STOCK_WORKER = "geventwebsocket.gunicorn.workers.GeventWebSocketWorker"
SETTINGS = Path(__file__).parent.parent / "conf" / "gunicorn.conf.py"
GRACE = 10
"""Seconds that gunicorn gives its workers to end (graceful_timeout in the settings); it ends them itself after that."""
LISTENING = re.compile(r"Listening at: http://([\d.]+):(\d+)")


class Gunicorn:
    """One gunicorn master with its workers; attributes as those of `servers.Server`."""

    secret = "secret"

    def __init__(
        self,
        options: dict[str, Any],
        directory: Path,
        worker: str,
        workers: int = 1,
        flags: Sequence[str] = (),
        settings: Path | None = SETTINGS,
        application: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.config_file = directory / "config.json"
        self.config_file.write_text(json.dumps({"secret": self.secret, **options}), encoding="utf-8")
        self._log_file = directory / "gunicorn.log"
        self._is_preloaded = "--preload" in flags
        command = [sys.executable, "-m", "gunicorn", "--bind=127.0.0.1:0"]
        command += [f"--config={settings}"] if settings else []
        command += [f"--worker-class={worker}", f"--workers={workers}", "--no-control-socket", *flags]
        command += [application or f"gentrifugo:create_app({str(self.config_file)!r})"]
        environ = {**os.environ, **(environment or {})}
        with self._log_file.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=directory, env=environ)

    @property
    def log(self) -> str:
        return self._log_file.read_text(encoding="utf-8", errors="replace")

    def wait_until_ready(self) -> None:
        """Wait until a worker is ready; sets `host` and `port`."""
        match = eventually(lambda: LISTENING.search(self.log), within=10, what=lambda: f"gunicorn listens\n{self.log}")
        self.host, self.port = match[1], int(match[2])
        # A worker that has not set its signal handlers yet would not hear that it should stop: let it answer first.
        eventually(lambda: APIClient(self.host, self.port).request("GET", "/", b"", {}), within=10)

    def stop(self) -> None:
        """Stop gunicorn with SIGTERM; its log must contain no traceback, and no module that gevent could not patch.

        With --preload, gunicorn loads the application before its workers let gevent patch them.
        """
        if self.process.poll() is None:
            self.process.terminate()
        assert self.process.wait(seconds(GRACE + 5)) == 0, self.log
        assert "Traceback" not in self.log, self.log
        assert self._is_preloaded or "MonkeyPatchWarning" not in self.log, self.log


@contextmanager
def gunicorn(directory: Path, worker: str, workers: int = 1, **options: Any) -> Iterator[Gunicorn]:
    """Provide a gunicorn with the settings of the repository that is ready, in a `with` block."""
    with ready(Gunicorn(options, directory, worker, workers)) as server:
        yield server


@contextmanager
def ready(server: Gunicorn) -> Iterator[Gunicorn]:
    """Wait until this gunicorn is ready, and stop it at the end of the `with` block."""
    try:
        server.wait_until_ready()
        yield server
        server.stop()
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


KINDS_OF_WORKERS = {"our worker": GENTRIFUGO_WORKER, "stock worker": STOCK_WORKER, "without gunicorn": ""}
"""Worker classes by the names of tests; empty for workers of our own master."""


@contextmanager
def several_workers(
    directory: Path, worker: str, count: int, knows_all: Callable[[Gunicorn | Server], bool], **options: Any
) -> Iterator[Gunicorn | Server]:
    """Provide workers of one of KINDS_OF_WORKERS in a `with` block, once `knows_all` is true for each of them.

    The stock worker knows nothing of the server until a request reaches it. `knows_all` is called several times,
    because each time another worker may answer.
    """
    with (
        gunicorn(directory, worker, count, **options) if worker else running({**options, "workers": count}, directory)
    ) as started:
        eventually(lambda: all(knows_all(started) for _ in range(12)), within=15, what="all know each other")
        yield started
