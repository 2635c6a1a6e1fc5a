"""Automatic certificates from a real ACME server: obtained, stored, renewed, and failures of the ACME server."""

from __future__ import annotations

import json
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.acme_server import Pebble, pebble
from tests.certificates import self_signed
from tests.redis_server import free_port
from tests.servers import Server
from tests.waiting import eventually, seconds

NAME = "realtime.example.com"
StartServer = Callable[..., Server]


class Setting:
    """The settings of one server that obtains certificates from one pebble."""

    def __init__(self, acme: Pebble, port: int, http_port: int, directory: Path) -> None:
        self.acme = acme
        self.port = port
        self.cache = directory / "cache"
        self.options: dict[str, Any] = {
            "ssl_autocert": True,
            "ssl_autocert_host_whitelist": f"{NAME}, other.example.com",
            "ssl_autocert_cache_dir": str(self.cache),
            "ssl_autocert_directory": acme.url,
            "ssl_autocert_email": "somebody@example.com",
            "ssl_autocert_http_addr": f"127.0.0.1:{http_port}",
        }


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Setting]:
    port, http_port = free_port(), free_port()
    with pebble(tmp_path, http_port, port) as acme:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(acme.trusted))
        yield Setting(acme, port, http_port, tmp_path)


def certificate(port: int, name: str | None = NAME) -> x509.Certificate | None:
    """The certificate of the server for this server name; None if the handshake fails."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=seconds(5)) as plain,
            context.wrap_socket(plain, server_hostname=name) as encrypted,
        ):
            data = encrypted.getpeercert(binary_form=True)
    except (ssl.SSLError, ConnectionError):
        return None
    assert data is not None
    return x509.load_der_x509_certificate(data)


def is_pebbles(port: int, name: str | None = NAME) -> bool:
    found = certificate(port, name)
    return found is not None and "Pebble" in found.issuer.rfc4514_string()


@pytest.mark.parametrize("over_http", [False, True], ids=["tls-alpn-01", "http-01"])
def test_certificates_are_obtained_and_stored_for_all_names(
    setting: Setting, start_server: StartServer, over_http: bool
) -> None:
    setting.acme.start()
    server = start_server(port=setting.port, **setting.options, ssl_autocert_http=over_http)
    for name in (NAME, "other.example.com"):
        eventually(partial(is_pebbles, setting.port, name), within=30, what=lambda: server.log)
    assert certificate(setting.port, "stranger.example.com") is None
    assert certificate(setting.port, None) is None
    assert f"certificate for {NAME} loaded" in server.log
    assert "no certificate" not in server.log, "at the first attempt, though the ACME server refuses many a nonce"
    file = setting.cache / f"{NAME}.pem"
    assert oct(file.stat().st_mode)[-3:] == "600"
    first = certificate(setting.port)
    server.stop()
    setting.acme.stop()
    again = start_server(port=setting.port, **setting.options, ssl_autocert_server_name=NAME)
    assert certificate(setting.port) == first == certificate(setting.port, None)
    again.stop()


def test_a_certificate_is_renewed_while_it_is_used(setting: Setting, start_server: StartServer) -> None:
    """An unavailable ACME server has no effect on clients."""
    setting.cache.mkdir()
    (setting.cache / f"{NAME}.pem").write_bytes(self_signed(days_left=1))
    options = {**setting.options, "ssl_autocert_host_whitelist": NAME}
    server = start_server(port=setting.port, **options)
    shown = certificate(setting.port)
    assert shown is not None
    assert not is_pebbles(setting.port)
    eventually(lambda: f"cannot get a certificate for {NAME}: " in server.log and "retrying in 5 s" in server.log)
    setting.acme.start()
    eventually(lambda: is_pebbles(setting.port), within=30, what=lambda: server.log)


def test_rsa_keys_are_used_with_the_option_and_unreadable_files_are_replaced(
    setting: Setting, start_server: StartServer
) -> None:
    setting.cache.mkdir()
    (setting.cache / "acme_account.json").write_text("")  # as a machine leaves it that stops in the middle
    (setting.cache / f"{NAME}.pem").write_bytes(self_signed(days_left=90))
    setting.acme.start()
    options = {**setting.options, "ssl_autocert_host_whitelist": NAME, "ssl_autocert_force_rsa": True}
    server = start_server(port=setting.port, **options)
    eventually(lambda: is_pebbles(setting.port), within=30, what=lambda: server.log)
    found = certificate(setting.port)
    assert found is not None
    assert isinstance(found.public_key(), rsa.RSAPublicKey)
    assert "cannot use account file" in server.log
    assert json.loads((setting.cache / "acme_account.json").read_text())["kty"] == "RSA"


def test_an_invalid_server_name_causes_no_traceback(setting: Setting, start_server: StartServer) -> None:
    server = start_server(port=setting.port, **setting.options, log_level="debug")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = context.wrap_bio(incoming, outgoing, server_hostname="realtime.example.com")
    with pytest.raises(ssl.SSLWantReadError):
        hello.do_handshake()
    with socket.create_connection(("127.0.0.1", setting.port), timeout=seconds(5)) as client:
        client.sendall(outgoing.read().replace(b"realtime", b"\xff\xfealtime"))
        client.recv(100)
    eventually(lambda: "TLS handshake with an invalid server name" in server.log)
    server.stop()  # which looks for tracebacks


def test_a_failed_validation_is_reported(setting: Setting, start_server: StartServer) -> None:
    """The server does not listen on the port that the ACME server checks."""
    setting.acme.start()
    server = start_server(port=free_port(), **setting.options)
    eventually(lambda: f"cannot get a certificate for {NAME}: validation failed: " in server.log, within=20)


def test_contradicting_options_are_reported(tmp_path: Path, start_server: StartServer) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for options, problem in [
        ({}, "ssl_autocert requires ssl_autocert_host_whitelist"),
        ({"ssl_autocert_host_whitelist": "*.example.com"}, "wildcard certificates are not supported"),
        ({"ssl_autocert_host_whitelist": "example.com:443"}, "invalid host name example.com:443"),
        (
            {"ssl_autocert_host_whitelist": NAME, "ssl_autocert_cache_dir": str(file)},
            f"ssl_autocert_cache_dir: cannot create directory {file}",
        ),
    ]:
        with pytest.raises(AssertionError, match=problem):
            start_server(ssl_autocert=True, **options)
    assert os.path.exists(file)
