"""Behaviour of Autocert with its cache, and with names without a certificate, without an ACME server."""

from __future__ import annotations

import logging
import os
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent.socket import socketpair
from gevent.ssl import SSLContext

from gentrifugo.app import tls
from gentrifugo.app.config.config import Config
from gentrifugo.app.config.options import ConfigError
from gentrifugo.app.process import run
from gentrifugo.app.tls import autocert
from gentrifugo.app.tls.acme_order import CertificateRefused, Show
from gentrifugo.app.tls.autocert import Autocert
from tests.certificates import self_signed
from tests.greenlets import eventually, nothing_left_behind
from tests.redis_server import free_port
from tests.waiting import seconds

__all__ = ["nothing_left_behind"]

HasCertificate = Callable[[SSLContext, str | None], bool]

NAME = "realtime.example.com"


class FakeAccount:
    """An account whose orders have the outcome that the test sets; `orders` counts them."""

    def __init__(self, outcome: bytes | Exception) -> None:
        self.outcome = outcome
        self.orders = 0

    def order(self, name: str, kind: str, force_rsa: bool, show: Show) -> tuple[bytes, bytes]:
        self.orders += 1
        if isinstance(self.outcome, Exception):
            raise self.outcome
        key, begin, rest = self.outcome.partition(b"-----BEGIN CERTIFICATE-----")
        return begin + rest, key


def made(account: FakeAccount, **options: Any) -> Autocert:
    """An Autocert that has not been started, with this account."""
    url = f"http://127.0.0.1:{free_port()}/"
    config = Config(
        secret="s",
        ssl_autocert=True,
        ssl_autocert_host_whitelist=NAME,
        ssl_autocert_directory=url,
        **options,
    )
    certificates = Autocert(config)
    certificates._account = account  # type: ignore[assignment]
    return certificates


@pytest.fixture
def has_certificate() -> HasCertificate:
    """Whether a handshake with `context` for the server name `name` succeeds."""

    def shake_hands(context: SSLContext, name: str | None) -> bool:
        client = SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        ours, theirs = socketpair()
        with ours, theirs, gevent.Timeout(seconds(5)):
            serving = gevent.spawn(serve, context, ours)
            try:
                with client.wrap_socket(theirs, server_hostname=name):
                    return True
            except OSError:
                return False
            finally:
                theirs.close()
                serving.join()

    def serve(context: SSLContext, ours: Any) -> None:
        try:
            context.wrap_socket(ours, server_side=True).close()
        except OSError:
            pass  # a handshake that fails is for the client to see

    return shake_hands


NEW, DUE = self_signed(days_left=90), self_signed(days_left=10)
"""A certificate at the beginning of its life, and one that is due for renewal."""


def test_a_certificate_is_requested_used_and_stored(
    nothing_left_behind: None, tmp_path: Path, has_certificate: HasCertificate
) -> None:
    certificates = made(FakeAccount(NEW), ssl_autocert_cache_dir=str(tmp_path), ssl_autocert_server_name=NAME)
    certificates.start()
    eventually(lambda: (tmp_path / f"{NAME}.pem").exists())
    assert has_certificate(certificates.context, NAME)
    assert has_certificate(certificates.context, None)
    assert not has_certificate(certificates.context, "stranger.example.com")
    assert not has_certificate(certificates.challenge_context, NAME)
    certificates.stop()


def test_a_cache_directory_that_cannot_be_written_is_logged(
    nothing_left_behind: None,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    has_certificate: HasCertificate,
) -> None:
    def fail(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(autocert, "write_secret", fail)
    certificates = made(FakeAccount(NEW), ssl_autocert_cache_dir=str(tmp_path))
    certificates.start()
    eventually(lambda: "No space left on device" in caplog.text)
    eventually(lambda: has_certificate(certificates.context, NAME))
    certificates.stop()


def test_without_a_cache_the_certificate_is_kept_in_memory(
    nothing_left_behind: None, has_certificate: HasCertificate
) -> None:
    certificates = made(FakeAccount(NEW))
    certificates.start()
    eventually(lambda: has_certificate(certificates.context, NAME))
    certificates.stop()


def test_a_file_in_the_cache_that_cannot_be_used_is_replaced(
    nothing_left_behind: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / f"{NAME}.pem").write_text("garbage")
    certificates = made(FakeAccount(NEW), ssl_autocert_cache_dir=str(tmp_path))
    certificates.start()
    eventually(lambda: b"BEGIN CERTIFICATE" in (tmp_path / f"{NAME}.pem").read_bytes())
    certificates.stop()
    assert "cannot use certificate file" in caplog.text


def test_a_certificate_is_not_renewed_long_before_its_expiry(
    nothing_left_behind: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{NAME}.pem").write_bytes(NEW)
    account = FakeAccount(CertificateRefused("nobody should ask"))
    monkeypatch.setattr(autocert, "MAX_SLEEP", 0.001)
    certificates = made(account, ssl_autocert_cache_dir=str(tmp_path))
    certificates.start()
    gevent.sleep(0.01)
    certificates.stop()
    assert account.orders == 0


def test_a_new_certificate_that_is_due_for_renewal_is_not_ordered_again_at_once(
    nothing_left_behind: None, caplog: pytest.LogCaptureFixture, has_certificate: HasCertificate
) -> None:
    """For example if the clock of this machine is wrong. The ACME server would refuse further orders for a week."""
    account = FakeAccount(DUE)
    certificates = made(account)
    certificates.start()
    eventually(lambda: "retrying in" in caplog.text)
    assert has_certificate(certificates.context, NAME)
    certificates.stop()
    assert account.orders == 1
    assert "check the system clock" in caplog.text


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (
            CertificateRefused("rate limited"),
            "cannot get a certificate for realtime.example.com: rate limited; retrying in",
        ),
        (ValueError("a bug"), "cannot get a certificate for realtime.example.com: internal error; retrying in"),
    ],
    ids=["refused", "a bug"],
)
def test_a_failed_certificate_request_is_retried(
    nothing_left_behind: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failure: Exception,
    says: str,
) -> None:
    monkeypatch.setattr(autocert, "MIN_RETRY_DELAY", 0.01)
    account = FakeAccount(failure)
    certificates = made(account)
    certificates.start()
    eventually(lambda: account.orders > 1)
    certificates.stop()
    assert says in caplog.text


def test_an_invalid_server_name_is_logged_without_traceback(
    nothing_left_behind: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    caplog.set_level(logging.DEBUG)
    certificates = made(FakeAccount(NEW))
    certificates.start()
    no_name = UnicodeDecodeError("ascii", b"\xff", 0, 1, "ordinal not in range")
    another = SimpleNamespace(exc_value=ValueError("another"), object=None)
    sys.unraisablehook(SimpleNamespace(exc_value=no_name, object=b"\xff"))
    sys.unraisablehook(another)
    certificates.stop()
    assert told == [another]
    assert "TLS handshake with an invalid server name" in caplog.text


def test_a_cache_directory_that_cannot_be_created_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"ssl_autocert_cache_dir: cannot create directory .*: Not a directory"):
        made(FakeAccount(b""), ssl_autocert_cache_dir=str(tmp_path / "file" / "cache"))


def test_a_cache_directory_without_write_permission_is_a_configuration_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ConfigError, match="ssl_autocert_cache_dir: cannot write to directory "):
        made(FakeAccount(b""), ssl_autocert_cache_dir=str(tmp_path))


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("autocert", "acme_order"):
        monkeypatch.delattr(tls, name)
        monkeypatch.delitem(sys.modules, f"{tls.__name__}.{name}")
    monkeypatch.setitem(sys.modules, "acme", None)
    advice = r"ssl_autocert: acme is not installed: pip install '/path/to/the/clone\[autocert\]'"
    with pytest.raises(ConfigError, match=advice):
        run._autocert(Config(secret="s", ssl_autocert=True))
