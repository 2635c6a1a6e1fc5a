"""A real nginx in front of servers under test."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.parts import program
from tests.waiting import eventually, seconds

FRAME = """
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log info;
worker_processes 1;
events {{ worker_connections 1000; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    {blocks}
}}
"""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def nginx(directory: Path, blocks: str, port: int) -> Iterator[None]:
    """Provide nginx in a `with` block, with `blocks` inside its `http`, which must listen on `port`."""
    config = directory / "nginx.conf"
    config.write_text(FRAME.format(directory=directory, blocks=blocks), encoding="utf-8")
    log = directory / "error.log"
    with proxy([program("nginx"), "-e", str(log), "-p", str(directory), "-c", str(config)], port, directory):
        yield


@contextmanager
def proxy(command: list[str], port: int, directory: Path) -> Iterator[None]:
    """Provide any proxy that listens on `port`, in a `with` block."""
    with (directory / "proxy.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        eventually(lambda: accepts(port), within=10, what=f"the proxy listens: {directory}")
        yield
    finally:
        process.terminate()
        process.wait(seconds(10))


def accepts(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
