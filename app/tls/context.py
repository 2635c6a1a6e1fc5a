"""TLS contexts for the listeners: TLS versions, ciphers and certificate (options ssl, ssl_cert and ssl_key)."""

from __future__ import annotations

import ssl
from pathlib import Path

from gevent.ssl import SSLContext

from ..config.config import Config
from ..config.options import ConfigError
from . import pem_files

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Ciphers for TLS 1.2: only those with forward secrecy and authenticated encryption. TLS 1.3 has no others."""


def server_context(config: Config) -> SSLContext:
    """Return the TLS context with the certificate of ssl_cert and ssl_key.

    Raises ConfigError, which names the option.
    """
    problems = [
        f"{option}: {problem}"
        for option, path in (("ssl_cert", config.ssl_cert), ("ssl_key", config.ssl_key))
        if (problem := _problem_of(path))
    ]
    if problems := problems or list(pem_files.wrong_contents(config.ssl_cert, config.ssl_key)):
        raise ConfigError(problems)
    context = bare_context()
    try:
        context.load_cert_chain(config.ssl_cert, config.ssl_key, password=_no_password)
    except ssl.SSLError as error:
        raise ConfigError([pem_files.refused_files(error, config.ssl_cert, config.ssl_key)]) from None
    except ValueError as error:
        raise ConfigError([f"ssl_key: {error} {config.ssl_key}"]) from None
    return context


def bare_context() -> SSLContext:
    """Return a TLS context with the protocol versions and ciphers of all listeners, without a certificate."""
    context = SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    return context


def _problem_of(path: str) -> str:
    if not path:
        return "required because ssl is on; set it to the path of a file in PEM"
    try:
        with Path(path).open("rb"):
            return ""
    except PermissionError as error:
        return f"cannot read {path}: {error.strerror}; allow the user of the server to read it"
    except OSError as error:
        return f"cannot read {path}: {error.strerror}"


def _no_password() -> str:
    raise ValueError(
        "encrypted keys are not supported; restrict access to the file, and decrypt it with openssl pkey -in"
    )
