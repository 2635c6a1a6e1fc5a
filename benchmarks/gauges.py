"""Reads gauges of the server with the command `node` of the v1 API."""

from __future__ import annotations

import json
import socket

from benchmarks.errors import BenchmarkError
from benchmarks.http_message import ResponseReader, api_request
from benchmarks.protocols.v1 import V1
from benchmarks.target import Target

TIMEOUT = 10.0
NAMES = ("node_num_clients", "node_num_unique_clients", "node_num_channels", "node_num_goroutine")
"""The gauges that rise and fall with connections."""


def gauges(target: Target) -> dict[str, int]:
    """Read the gauges in NAMES from the server. Raises BenchmarkError if it does not respond."""
    response = None
    reader = ResponseReader()
    try:
        with socket.create_connection(target.address, TIMEOUT) as sock:
            request = V1().request(['{"method":"node","params":{}}'], target.secret, target.api_key)
            sock.sendall(api_request(target, request))
            while response is None and (data := sock.recv(65536)):
                response = reader.feed(data)
    except OSError as error:
        raise BenchmarkError(f"cannot read the gauges of {target.host}: {error.strerror or error}") from None
    if response is None or response.status != 200:
        reason = response.body.decode("utf-8", "replace").strip()[:200] if response else "nothing"
        raise BenchmarkError(f"the API refused the command node: {reason}; check --secret")
    try:
        metrics = json.loads(response.body)[0]["body"]["data"]["metrics"]
        return {name: int(metrics[name]) for name in NAMES if name in metrics}
    except (ValueError, LookupError, TypeError):
        raise BenchmarkError(f"invalid reply to the command node: {response.body[:200]!r}") from None
