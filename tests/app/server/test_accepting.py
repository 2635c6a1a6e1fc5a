"""Listeners of a process that has no file descriptor left: they say so in the log, and accept later."""

from __future__ import annotations

import errno
import logging
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from ssl import CERT_NONE, PROTOCOL_TLS_CLIENT
from typing import Any

import pytest
from gevent import socket
from gevent.ssl import SSLContext

from gentrifugo.app.config.config import Config
from gentrifugo.app.server import accepting
from gentrifugo.app.server.http_server import HTTPServer
from gentrifugo.app.server.listeners import listen, listen_at
from gentrifugo.app.tls.context import server_context
from tests.certificates import make_certificate
from tests.greenlets import eventually, nothing_left_behind
from tests.waiting import seconds

__all__ = ["nothing_left_behind"]

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [])
    return [b"served"]


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Lower the limit of open files to what this process has open."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def listener_of(kind: str, directory: Path) -> Any:
    listener = listen_at(str(directory / "socket"), "600") if kind == "Unix socket" else listen("127.0.0.1", 0)
    listener.setblocking(False)
    return listener


def tls_of(kind: str, directory: Path) -> SSLContext | None:
    if kind != "TLS":
        return None
    certificate = make_certificate(directory)
    options = Config(secret="s", ssl=True, ssl_cert=str(certificate.cert), ssl_key=str(certificate.key))
    return server_context(options)


@pytest.mark.parametrize("kind", ["port", "Unix socket", "TLS"])
def test_clients_wait_in_one_log_line_until_descriptors_are_free(
    kind: str,
    tmp_path: Path,
    nothing_left_behind: None,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    accepting._full.reset()
    listener, context = listener_of(kind, tmp_path), tls_of(kind, tmp_path)
    http = HTTPServer(listener, application, log=None, ssl_context=context)
    http.start()
    client = SSLContext(PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, CERT_NONE
    with caplog.at_level(logging.ERROR, accepting.log.name), socket.socket(listener.family) as connection:
        connection.settimeout(seconds(5))
        with no_descriptor_left():
            connection.connect(listener.getsockname())
            eventually(lambda: caplog.messages or capfd.readouterr().err)
        encrypted = client.wrap_socket(connection) if context is not None else connection
        with closing(encrypted):
            encrypted.sendall(REQUEST)
            assert encrypted.recv(1000).startswith(b"HTTP/1.1 200 ")
    http.stop()
    (message,) = caplog.messages
    assert message.startswith("cannot accept connections, new clients wait: the limit of ")
    assert message.endswith(
        "LimitNOFILE=65536 in the systemd unit, nofile in /etc/security/limits.conf before a new "
        'login, or --ulimit nofile=65536 of Docker; see "Limits" in docs/deployment.md'
    )
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("number", "reason"), [("ENFILE", "raise fs.file-max"), ("ENOBUFS", "No buffer space available")]
)
def test_other_shortages_are_named(number: str, reason: str) -> None:
    code = getattr(errno, number)
    assert reason in accepting._reason(OSError(code, os.strerror(code)))
