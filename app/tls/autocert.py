"""Automatic certificates (options ssl_autocert…): obtains, stores and renews one certificate for each host name.

This happens in the background. A TLS handshake never waits: it uses the current certificate, or fails with an alert if
there is no certificate yet.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import logging
import os
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import gevent
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from gevent.lock import BoundedSemaphore
from gevent.ssl import SSLContext

from ..config.config import Config
from ..config.options import ConfigError, split_list
from ..config.secret_file import write_secret
from ..runtime.backoff import Backoff
from ..server.accepting import AcceptingServer
from . import acme_order, http_challenges
from .context import bare_context

log = logging.getLogger(__name__)

HTTP_01, TLS_ALPN_01 = "http-01", "tls-alpn-01"
ACME_PROTOCOL = "acme-tls/1"
ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
"""Identifier of the certificate extension with the answer to a TLS-ALPN-01 challenge (RFC 8737, section 3)."""
RENEW_AT = 2 / 3
"""Part of the lifetime after which a certificate is renewed: after two of three months."""
MIN_RETRY_DELAY, MAX_RETRY_DELAY = 5.0, 3600.0
"""Seconds before the next attempt after a failed one; see Backoff."""
MAX_SLEEP = 12 * 3600.0
DAY = datetime.timedelta(days=1)


class Autocert:
    """Manages the certificates of the names in ssl_autocert_host_whitelist. Call `start` and `stop` once each."""

    def __init__(self, config: Config) -> None:
        self._names = [name.lower() for name in split_list(config.ssl_autocert_host_whitelist)]
        self._directory = _directory(config.ssl_autocert_cache_dir)
        self._account = acme_order.Account(config.ssl_autocert_directory, config.ssl_autocert_email, self._directory)
        self._kind = HTTP_01 if config.ssl_autocert_http else TLS_ALPN_01
        self._force_rsa = config.ssl_autocert_force_rsa
        self._default = config.ssl_autocert_server_name.lower()
        self._contexts: dict[str, SSLContext] = {}
        self._renew_at: dict[str, datetime.datetime] = {}
        self._challenges: dict[str, SSLContext] = {}
        self._tokens: dict[str, str] = {}
        """Responses to HTTP-01 challenges at `/.well-known/acme-challenge/TOKEN`, by token."""
        self._greenlets: list[gevent.Greenlet[..., None]] = []
        self._previous_hook = sys.unraisablehook
        self._order_lock = BoundedSemaphore()  # one order after the other, all of one account
        self.context = bare_context()
        """The TLS context for handshakes of clients; it selects the certificate by the requested server name."""
        self.context.sni_callback = self._choose
        self.challenge_context = bare_context()
        """The TLS context for handshakes of an ACME server that validates a TLS-ALPN-01 challenge."""
        self.challenge_context.set_alpn_protocols([ACME_PROTOCOL])
        self.challenge_context.sni_callback = self._choose_challenge
        self._http: AcceptingServer | None = None
        if config.ssl_autocert_http:
            self._http = http_challenges.server(config.ssl_autocert_http_addr, self._tokens)

    def start(self) -> None:
        """Load the stored certificates, and start to obtain and renew certificates in the background."""
        if self._http is not None:
            self._http.start()
        sys.unraisablehook = self._log_unraisable
        for name in self._names:
            self._load(name)
            self._greenlets.append(gevent.spawn(self._keep_valid, name))

    def stop(self) -> None:
        """Stop obtaining and renewing certificates, and close the HTTP server for challenges."""
        if self._http is not None:
            self._http.stop(timeout=0.5)
        sys.unraisablehook = self._previous_hook
        gevent.killall(self._greenlets)
        self._greenlets = []

    # -- handshakes

    def _choose(self, connection: Any, name: str | None, _: object) -> int | None:
        context = self._contexts.get((name or self._default).lower())
        if context is None:
            return ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        connection.context = context
        return None

    def _choose_challenge(self, connection: Any, name: str | None, _: object) -> int | None:
        context = self._challenges.get((name or "").lower())
        if context is None:
            return ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        connection.context = context
        return None

    def _log_unraisable(self, failure: Any) -> None:
        """Log a server name that is not ASCII at level DEBUG; Python would print a traceback for it."""
        if isinstance(failure.exc_value, UnicodeDecodeError) and isinstance(failure.object, bytes):
            log.debug("TLS handshake with an invalid server name: %r", failure.object)
        else:
            self._previous_hook(failure)

    # -- getting and renewing

    def _keep_valid(self, name: str) -> None:
        backoff = Backoff(MIN_RETRY_DELAY, MAX_RETRY_DELAY)
        while True:
            due = self._renew_at.get(name)
            left = 0.0 if due is None else (due - _now()).total_seconds()
            if left > 0:
                gevent.sleep(min(left, MAX_SLEEP))
                continue
            try:
                self._obtain(name)
                backoff.reset()
            except Exception as error:
                pause = backoff.next_delay()
                self._log_failure(name, error, pause)
                gevent.sleep(pause)

    def _log_failure(self, name: str, error: Exception, pause: float) -> None:
        if isinstance(error, acme_order.CertificateRefused):
            log.error("cannot get a certificate for %s: %s; retrying in %g s", name, error, pause)
        else:
            log.error("cannot get a certificate for %s: internal error; retrying in %g s", name, pause, exc_info=error)

    def _obtain(self, name: str) -> None:
        with self._order_lock:
            log.info("requesting a certificate for %s", name)
            try:
                chain, key = self._account.order(name, self._kind, self._force_rsa, self._show)
            finally:
                self._challenges.clear()
                self._tokens.clear()
        self._use(name, key + chain)
        self._save(name, key + chain)
        if self._renew_at[name] <= _now():  # otherwise orders would follow each other without a pause
            raise acme_order.CertificateRefused(
                "the new certificate is already due for renewal; check the system clock"
            )
        log.info("certificate for %s loaded, renewal on %s", name, self._renew_at[name].date())

    def _show(self, kind: str, name: str, token: str, authorization: str) -> None:
        if kind == HTTP_01:
            self._tokens[token] = authorization
        else:
            self._challenges[name] = _challenge_context(name, authorization)

    # -- the cache

    def _file(self, name: str) -> Path | None:
        return self._directory / f"{name}.pem" if self._directory is not None else None

    def _load(self, name: str) -> None:
        file = self._file(name)
        if file is None or not file.exists():
            return
        try:
            self._use(name, file.read_bytes())
        except (OSError, ValueError) as error:
            log.warning("ssl_autocert_cache_dir: cannot use certificate file %s, requesting a new one: %s", file, error)

    def _save(self, name: str, pem: bytes) -> None:
        file = self._file(name)
        if file is None:
            return
        try:
            write_secret(file, pem)
        except OSError as error:
            log.error("ssl_autocert_cache_dir: cannot write %s: %s", file, error.strerror)

    def _use(self, name: str, pem: bytes) -> None:
        """Use a certificate for new handshakes. Raises OSError or ValueError (such as ssl.SSLError)."""
        certificate = x509.load_pem_x509_certificate(pem)
        is_wanted = not self._force_rsa or isinstance(certificate.public_key(), rsa.RSAPublicKey)
        self._contexts[name] = _context_of(pem)
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        self._renew_at[name] = begins + (ends - begins) * RENEW_AT if is_wanted else _now()


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _directory(path: str) -> Path | None:
    if not path:
        return None
    try:
        Path(path).mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError([f"ssl_autocert_cache_dir: cannot create directory {path}: {error.strerror}"]) from None
    if not os.access(path, os.W_OK):
        raise ConfigError([f"ssl_autocert_cache_dir: cannot write to directory {path}"])
    return Path(path)


def _context_of(pem: bytes) -> SSLContext:
    """Return a TLS context with this certificate and key. It writes a temporary file, because OpenSSL needs one."""
    context = bare_context()
    with _file_of(pem) as path:
        context.load_cert_chain(path)
    return context


@contextlib.contextmanager
def _file_of(pem: bytes) -> Iterator[str]:
    with NamedTemporaryFile(prefix="gentrifugo-") as file:  # for this user alone
        file.write(pem)
        file.flush()
        yield file.name


def _challenge_context(name: str, authorization: str) -> SSLContext:
    """Return a TLS context with the self-signed certificate for a TLS-ALPN-01 challenge (RFC 8737, section 3)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([])
    digest = hashlib.sha256(authorization.encode()).digest()
    identifier = x509.UnrecognizedExtension(ACME_IDENTIFIER, b"\x04\x20" + digest)  # an OCTET STRING of 32 bytes
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - DAY)
        .not_valid_after(_now() + DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(identifier, critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    context = bare_context()
    context.set_alpn_protocols([ACME_PROTOCOL])
    with _file_of(private + certificate.public_bytes(serialization.Encoding.PEM)) as path:
        context.load_cert_chain(path)
    return context
