"""Runs a server of this repository during a benchmark, with limits that no benchmark reaches."""

from __future__ import annotations

import json
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.processes import Processes, process_tree
from benchmarks.protocols import PROTOCOLS
from benchmarks.protocols.base import Protocol
from benchmarks.redis_process import RedisProcess
from benchmarks.started_process import StartedProcess, run_program, server_environment
from benchmarks.target import Target

HISTORY = "history:"
"""The namespace whose channels keep a history, with its boundary."""

SPEEDUPS = "GENTRIFUGO_SPEEDUPS"
"""The environment variable that switches off the C module for sending when it is 0."""

OPTIONS: dict[str, Any] = {
    "address": "127.0.0.1",
    "log_level": "info",
    "client_queue_max_size": 1 << 30,
    "api_request_max_size": 1 << 27,
    "allow_subscribe_for_client": True,
    "namespaces": [
        {
            "name": HISTORY.rstrip(":"),
            "history_size": 10,
            "history_lifetime": 60,
            "allow_subscribe_for_client": True,
        }
    ],
}
"""A saturated server has megabytes waiting for each client; no client must be closed as slow because of that.

Clients of protocol v2 may subscribe without a token for each channel.
"""

_LISTENING = re.compile(r"listening on (http://\S+)")
_WORKER_READY = re.compile(r"worker \d+ ready")


@contextmanager
def running_server(
    protocol: Protocol = PROTOCOLS["v1"],
    redis: RedisProcess | None = None,
    nodes: int = 1,
    speedups: bool | None = None,
    **options: Any,
) -> Iterator[Target]:
    """Run new server processes, each on a free port; `options` go into their configuration. Raises BenchmarkError.

    `speedups` decides whether they use the C module for sending; None leaves that to the environment.
    """
    secret, token_secret, api_key = (secrets.token_hex(32) for _ in range(3))
    keys = {"secret": secret, "token_hmac_secret_key": token_secret, "api_key": api_key}
    engine = {"engine": "redis", "redis_port": str(redis.port)} if redis is not None else {}
    environment = server_environment()
    if speedups is not None:
        environment[SPEEDUPS] = str(int(speedups))
    program = Path(sys.executable).with_name("gentrifugo")
    if not program.exists():
        raise BenchmarkError(f"{program} not found; install the project with make install")
    with TemporaryDirectory(prefix="gentrifugo-bench-") as name, ExitStack() as stack:
        config = Path(name) / "config.json"
        config.write_text(json.dumps({**keys, **OPTIONS, **engine, **options}), encoding="utf-8")
        urls, pids = [], []
        for _ in range(nodes):
            command = [str(program), f"--config={config}", "--port=0"]
            server = stack.enter_context(run_program(command, "the server", config.parent, environment))
            urls.append(_wait_until_listening(server, options.get("workers", 0)))
            pids += process_tree(server.pid)
        signing = secret if protocol.name == "v1" else token_secret
        engine_processes = redis.processes if redis is not None else None
        yield Target.of(",".join(urls), signing, Processes(pids), protocol, api_key, engine_processes)


def _wait_until_listening(server: StartedProcess, workers: int) -> str:
    """Return the URL of a server, once it listens and all of its workers are ready."""
    url = ""
    for _ in server.poll_until("it listened"):
        output = server.output
        match = _LISTENING.search(output)
        if match and len(_WORKER_READY.findall(output)) >= workers:
            url = match[1]
            break
    return url
