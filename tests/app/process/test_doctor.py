"""Findings of the doctor about states of a machine and a Redis server that a test cannot create for real."""

from __future__ import annotations

import errno
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from gentrifugo.app import tls
from gentrifugo.app.config.config import Config
from gentrifugo.app.config.loading import LoadedConfig
from gentrifugo.app.process import doctor
from gentrifugo.app.process.finding import OK, PROBLEM, WARNING, Finding
from tests.certificates import Certificate, make_certificate
from tests.redis_server import Sentinel, free_port, redis_server, stop


class PrivilegedSocket(socket.socket):
    """A socket of a user who may not listen on privileged ports."""

    def bind(self, address: Any, /) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")


def findings(**options: Any) -> list[Finding]:
    if "port" not in options:
        options["port"] = free_port()
    return list(doctor.examine(LoadedConfig(Config(secret="s", address="127.0.0.1", **options), [])))


def about(found: list[Finding], subject: str) -> Finding:
    (finding,) = [finding for finding in found if subject in str(finding)]
    return finding


def test_privileged_port_is_reported_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", PrivilegedSocket)
    finding = about(findings(port=80), "port 80")
    assert finding.state == PROBLEM
    assert "permission denied, only root can use this port" in str(finding)


def test_port_of_http_challenges_is_checked() -> None:
    port = free_port()
    found = findings(
        ssl_autocert=True,
        ssl_autocert_http=True,
        ssl_autocert_http_addr=f"127.0.0.1:{port}",
        ssl_autocert_host_whitelist="a.example.com",
        ssl_autocert_directory=f"http://127.0.0.1:{free_port()}/",
    )
    assert about(found, f"ssl_autocert_http_addr {port}").state == OK
    assert about(found, "ssl_autocert_directory").state == PROBLEM


def test_missing_autocert_packages_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "requests", None)
    found = findings(ssl_autocert=True, ssl_autocert_host_whitelist="a.example.com")
    assert "pip install '/path/to/the/clone[autocert]'" in str(about(found, "the acme library is not installed"))


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path, days=30)


def test_expiry_is_not_checked_without_the_library_cryptography(
    monkeypatch: pytest.MonkeyPatch, certificate: Certificate
) -> None:
    monkeypatch.delattr(tls, "certificate_dates", raising=False)
    monkeypatch.setitem(sys.modules, f"{tls.__name__}.certificate_dates", None)
    assert about(findings(**certificate.options), "expiry date not checked").state == WARNING


def test_a_certificate_in_the_cache_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "a.example.com.pem").write_text("garbage")
    found = findings(
        ssl_autocert=True,
        ssl_autocert_host_whitelist="a.example.com",
        ssl_autocert_cache_dir=str(tmp_path),
        ssl_autocert_directory=f"http://127.0.0.1:{free_port()}/",
    )
    assert about(found, "a.example.com.pem cannot be read").state == PROBLEM


def test_sentinels_are_queried_for_the_master(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        sentinel = Sentinel(tmp_path, {"main": server})
        try:
            options = {"engine": "redis", "redis_sentinels": sentinel.address}
            found = about(findings(**options, redis_master_name="main"), "the master main")
            assert (found.state, str(server.port) in str(found)) == (OK, True)
            found = about(findings(**options, redis_master_name="other"), f"Sentinel {sentinel.address}")
            assert (found.state, "no master named 'other'" in str(found)) == (PROBLEM, True)
        finally:
            stop([sentinel])
