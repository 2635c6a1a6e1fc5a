"""Requests a certificate from an ACME server (RFC 8555), such as Let's Encrypt, with the acme library."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import gevent
from acme import challenges, client, errors, messages
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from josepy import errors as josepy_errors
from josepy import jwk

from ..config.secret_file import write_secret

log = logging.getLogger(__name__)

USER_AGENT = "gentrifugo"
ORDER_TIMEOUT = 90.0
"""Maximum time in seconds for validation and signing by the ACME server."""
RSA_BITS = 2048
NONCE_TRIES = 5
"""Maximum attempts for a request whose nonce is rejected; the library sends each attempt twice."""
ACCOUNT_FILE = "acme_account.json"

Show = Callable[[str, str, str, str], None]
"""Publishes the response to a challenge. Arguments: type of challenge, host name, token, key authorization."""


@challenges.ChallengeResponse.register
class TLSALPN01Response(challenges.KeyAuthorizationChallengeResponse):
    """The response to a TLS-ALPN-01 challenge (RFC 8737), which the acme library does not support."""

    typ: ClassVar[str] = "tls-alpn-01"


@challenges.Challenge.register
class TLSALPN01(challenges.KeyAuthorizationChallenge):
    """A TLS-ALPN-01 challenge, which is answered within a TLS handshake (RFC 8737)."""

    response_cls = TLSALPN01Response
    typ = response_cls.typ

    def validation(self, account_key: Any, **_: Any) -> str:
        """Return the key authorization, whose hash is in the certificate that answers the challenge."""
        authorization: str = self.key_authorization(account_key)
        return authorization


class CertificateRefused(Exception):
    """The ACME server refused to issue a certificate; the text says why."""


class _Network(client.ClientNetwork):
    """HTTP client that repeats a request after a rejected nonce (RFC 8555, section 6.5), up to NONCE_TRIES times."""

    def post(self, *args: Any, **kwargs: Any) -> Any:
        """Send a request, and repeat it if its nonce was rejected. Raises acme.errors.Error."""
        for _ in range(NONCE_TRIES - 1):
            try:
                return super().post(*args, **kwargs)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
        return super().post(*args, **kwargs)


class Account:
    """An account at an ACME server. Its key is created at the first use and stored in `directory`, if one is given."""

    def __init__(self, url: str, email: str, directory: Path | None) -> None:
        self._url = url
        self._email = email
        self._file = directory / ACCOUNT_FILE if directory is not None else None
        self._key: Any = None
        self._client: Any = None

    def order(self, name: str, kind: str, force_rsa: bool, show: Show) -> tuple[bytes, bytes]:
        """Obtain a certificate for `name`; returns the certificate chain and its private key, both in PEM.

        `kind` is the type of challenge that `show` can answer. Blocks while the server validates and signs.
        Raises CertificateRefused.
        """
        key = _rsa_key() if force_rsa else ec.generate_private_key(ec.SECP256R1())
        try:
            server = self._connect()
            order = server.new_order(_request(name, key))
            for authorization in order.authorizations:
                if authorization.body.status != messages.STATUS_VALID:
                    self._answer(server, authorization.body, kind, name, show)
            deadline = datetime.datetime.now() + datetime.timedelta(seconds=ORDER_TIMEOUT)
            chain: str = server.poll_and_finalize(order, deadline).fullchain_pem
        except (errors.Error, messages.Error, OSError, ValueError) as error:
            self._client = None  # the next order loads directory and account again, because one may be the cause
            raise CertificateRefused(_reason_of(error)) from None
        return chain.encode(), _pem(key)

    def _answer(self, server: Any, authorization: Any, kind: str, name: str, show: Show) -> None:
        offered = {challenge.chall.typ: challenge for challenge in authorization.challenges}
        challenge = offered.get(kind)
        if challenge is None:
            raise CertificateRefused(f"no challenge of type {kind} offered, only {', '.join(sorted(offered))}")
        response, validation = challenge.response_and_validation(self._key)
        token = challenge.chall.encode("token") if kind == "http-01" else ""
        show(kind, name, token, validation)
        server.answer_challenge(challenge, response)

    def _connect(self) -> Any:
        if self._client is None:
            self._key = self._load_key()
            network = _Network(self._key, user_agent=USER_AGENT, timeout=30)
            server = client.ClientV2(client.ClientV2.get_directory(self._url, network), network)
            terms = messages.NewRegistration.from_data(email=self._email or None, terms_of_service_agreed=True)
            try:
                server.new_account(terms)
            except errors.ConflictError as known:
                account = messages.RegistrationResource(body=terms, uri=known.location)
                network.account = account
                server.query_registration(account)
            self._client = server
        return self._client

    def _load_key(self) -> Any:
        """Load or create the account key. An unreadable key is replaced, and the server then creates a new account."""
        if self._file is not None and self._file.exists():
            try:
                return jwk.JWK.json_loads(self._file.read_text(encoding="utf-8"))
            except (josepy_errors.Error, ValueError) as error:
                log.warning(
                    "ssl_autocert_cache_dir: cannot use account file %s, creating a new account: %s", self._file, error
                )
        key = jwk.JWKRSA(key=_rsa_key())
        if self._file is not None:
            write_secret(self._file, key.json_dumps().encode())
        return key


def _rsa_key() -> Any:
    """Create an RSA key in a thread, because it can take half a second, in which the server must keep running."""
    return gevent.get_hub().threadpool.apply(rsa.generate_private_key, (65537, RSA_BITS))


def _request(name: str, key: Any) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if len(name) <= 64 else [])
    names = x509.SubjectAlternativeName([x509.DNSName(name)])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(names, critical=False)
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _pem(key: Any) -> bytes:
    data: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return data


def _reason_of(error: Exception) -> str:
    if isinstance(error, errors.ValidationError):
        reasons = [
            str(challenge.error.detail or challenge.error)
            for failed in error.failed_authzrs
            for challenge in failed.body.challenges
            if challenge.error is not None
        ]
        return f"validation failed: {'; '.join(reasons)}"
    return str(error) or type(error).__name__
