"""Real Redis servers and Sentinels for tests, each on a free port and with a separate directory."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import hiredis

from tests.parts import program
from tests.waiting import eventually, seconds

DEFAULT = "redis-server"
_given: set[int] = set()


def free_port() -> int:
    """Return a port that was free a moment ago, and that this function has not given before."""
    while True:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = int(listener.getsockname()[1])
        if port not in _given:
            _given.add(port)
            return port


class RedisServer:
    """One server process. It keeps nothing on disk, so that it is empty after `restart`."""

    def __init__(self, directory: Path, *arguments: str, executable: str = "", port: int = 0) -> None:
        self.port = port or free_port()
        self.arguments = list(arguments)
        self.directory = Path(mkdtemp(prefix="redis-", dir=directory))
        fixed = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory)]
        kept_in_memory = ["--save", "", "--appendonly", "no"]
        self._command = [executable or program(DEFAULT), *self._files(), *fixed, *kept_in_memory, *arguments]
        self._stopped = False
        self.start()

    def _files(self) -> list[str]:
        return []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def options(self) -> dict[str, Any]:
        """The options of a node that uses it."""
        return {"engine": "redis", "redis_port": str(self.port)}

    def start(self) -> None:
        """Start the server, and return when it answers."""
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT)
        eventually(self._answers, within=10, what=f"redis-server starts: {self._command}")

    def ask(self, *command: str | bytes | int) -> Any:
        """Send one command over a new connection, and return the reply."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds(5)) as connection:
            connection.sendall(hiredis.pack_command(command))  # type: ignore[arg-type]
            reader = hiredis.Reader()
            while (reply := reader.gets()) is False:
                data = connection.recv(65536)
                if not data:
                    raise ConnectionError("Redis hung up")
                reader.feed(data)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def kill(self) -> None:
        """Kill the process immediately, like a crash."""
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """Kill it and start it again on the same port, empty."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Suspend the process; its connections stay open."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue the process after `freeze`."""
        self.process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError((self.directory / "log").read_text(encoding="utf-8", errors="replace"))
        try:
            self.ask("PING")
        except (OSError, hiredis.ReplyError) as error:
            return "NOAUTH" in str(error)
        return True


class Sentinel(RedisServer):
    """A single Sentinel that monitors masters, with short timeouts."""

    def __init__(self, directory: Path, masters: dict[str, RedisServer]) -> None:
        self._config = Path(mkdtemp(prefix="sentinel-", dir=directory)) / "sentinel.conf"
        lines: list[str] = []
        for name, master in masters.items():
            lines.append(f"sentinel monitor {name} 127.0.0.1 {master.port} 1")
            lines.append(f"sentinel down-after-milliseconds {name} 500")
            lines.append(f"sentinel failover-timeout {name} 2000")
        self._config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        super().__init__(directory)

    def _files(self) -> list[str]:
        return [str(self._config), "--sentinel"]


@contextmanager
def redis_server(directory: Path, *arguments: str, executable: str = "") -> Iterator[RedisServer]:
    """Provide a server in a `with` block."""
    server = RedisServer(directory, *arguments, executable=executable)
    try:
        yield server
    finally:
        stop([server])


def stop(servers: Sequence[RedisServer]) -> None:
    """Stop the servers in any state."""
    for server in servers:
        server.kill()
