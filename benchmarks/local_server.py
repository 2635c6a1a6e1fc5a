"""A server of this repository for the length of a benchmark, with limits that no benchmark reaches."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.processes import Processes
from benchmarks.protocols import PROTOCOLS
from benchmarks.protocols.base import Protocol
from benchmarks.target import Target

START_TIMEOUT = 15.0
"""Seconds until the server must listen."""
STOP_TIMEOUT = 30.0
"""Seconds that it may take to end."""

OPTIONS: dict[str, Any] = {
    "address": "127.0.0.1",
    "log_level": "info",
    "client_queue_max_size": 1 << 30,
    "api_request_max_size": 1 << 27,
    "allow_subscribe_for_client": True,
}
"""A saturated server has megabytes waiting for each client; nobody shall be closed as slow for that.

Clients of protocol v2 may subscribe without a token for each channel.
"""

_LISTENING = re.compile(r"listening on (http://\S+)")


@contextmanager
def running_server(protocol: Protocol = PROTOCOLS["v1"], **options: Any) -> Iterator[Target]:
    """A new server process on a free port; `options` go into its configuration. Raises BenchmarkError."""
    secret, token_secret, api_key = (secrets.token_hex(32) for _ in range(3))
    keys = {"secret": secret, "token_hmac_secret_key": token_secret, "api_key": api_key}
    with TemporaryDirectory(prefix="gentrifugo-bench-") as name:
        directory = Path(name)
        config, log = directory / "config.json", directory / "server.log"
        config.write_text(json.dumps({**keys, **OPTIONS, **options}), encoding="utf-8")
        process = _start(config, log)
        try:
            url, processes = _wait_until_listening(process, log), Processes([process.pid])
            yield Target.of(url, secret if protocol.name == "v1" else token_secret, processes, protocol, api_key)
        finally:
            _stop(process)


def _start(config: Path, log: Path) -> subprocess.Popen[bytes]:
    program = Path(sys.executable).with_name("gentrifugo")
    # What a developer has set up for other purposes must not change what is measured.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CENTRIFUGO_")}
    try:
        with log.open("wb") as output:
            return subprocess.Popen(
                [str(program), f"--config={config}", "--port=0"],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=config.parent,
                env=environment,
            )
    except FileNotFoundError:
        raise BenchmarkError(f"there is no {program}; install the project with make install") from None


def _wait_until_listening(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        text = log.read_text(encoding="utf-8", errors="replace")
        match = _LISTENING.search(text)
        if match:
            return match[1]
        if process.poll() is not None:
            raise BenchmarkError(f"the server did not start:\n{text}")
        time.sleep(0.05)
    raise BenchmarkError(f"the server does not listen after {START_TIMEOUT:g} s")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
