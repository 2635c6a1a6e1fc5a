"""A real ACME server, Debian's pebble, and a name server that resolves every name to this machine."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.certificates import make_certificate
from tests.nginx_server import accepts
from tests.parts import program
from tests.redis_server import free_port
from tests.waiting import eventually, seconds


class Pebble:
    """A pebble that validates names on the given ports of this machine, and refuses 30 % of nonces.

    It can be stopped and started several times.
    """

    def __init__(self, directory: Path, http_port: int, tls_port: int) -> None:
        self._directory = directory
        certificate = make_certificate(directory, "pebble")
        self.trusted = certificate.cert
        """The certificate that a client must trust."""
        self._port, self._dns, management = free_port(), free_port(), free_port()
        self.url = f"https://localhost:{self._port}/dir"
        self._config = directory / "pebble.json"
        settings = {
            "listenAddress": f"127.0.0.1:{self._port}",
            "managementListenAddress": f"127.0.0.1:{management}",
            "certificate": str(certificate.cert),
            "privateKey": str(certificate.key),
            "httpPort": http_port,
            "tlsPort": tls_port,
        }
        self._config.write_text(json.dumps({"pebble": settings}))
        dns = [program("pebble-challtestsrv"), "-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""]
        dns += ["-dns01", f"127.0.0.1:{self._dns}", "-management", f"127.0.0.1:{free_port()}"]
        dns += ["-http01", "", "-https01", "", "-tlsalpn01", ""]
        self._processes = [self._run(dns)]

    def start(self) -> None:
        """Start the server, without any earlier certificates."""
        command = [program("pebble"), "-config", str(self._config), "-dnsserver", f"127.0.0.1:{self._dns}"]
        self._processes.append(self._run(command))
        eventually(lambda: accepts(self._port), within=10, what="pebble listens")

    def stop(self) -> None:
        """Stop all processes that were started."""
        for process in self._processes:
            process.terminate()
            process.wait(seconds(10))
        self._processes = []

    def _run(self, command: list[str]) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "30"}
        with (self._directory / "pebble.log").open("ab") as log:
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


@contextmanager
def pebble(directory: Path, http_port: int = 1, tls_port: int = 1) -> Iterator[Pebble]:
    """Provide a pebble in a `with` block; it is not started yet."""
    made = Pebble(directory, http_port, tls_port)
    try:
        yield made
    finally:
        made.stop()
