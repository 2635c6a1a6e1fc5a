"""Says what is wrong with the files of a certificate and its key. OpenSSL often only says that it cannot read them.

Only the labels of PEM are examined, such as `BEGIN CERTIFICATE`. Whether a file is sound, OpenSSL decides.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from pathlib import Path

CERT, KEY = "ssl_cert", "ssl_key"

MAX_EXAMINED = 1_000_000
"""Bytes of a file that are examined."""
_LABEL = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")
_CERTIFICATES = frozenset({"CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"})
_PRIVATE_KEYS = frozenset({f"{kind}PRIVATE KEY" for kind in ("", "ENCRYPTED ", "RSA ", "EC ", "DSA ")})
_CONTENTS = {
    **dict.fromkeys(_CERTIFICATES, "a certificate"),
    **dict.fromkeys(_PRIVATE_KEYS, "a private key"),
    "CERTIFICATE REQUEST": "a certificate request",
    "NEW CERTIFICATE REQUEST": "a certificate request",
    "PUBLIC KEY": "a public key",
    "OPENSSH PRIVATE KEY": "a key of OpenSSH",
}
_OF_OTHER_KEY = frozenset({"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"})
"""Reasons of OpenSSL for a key that does not belong to the certificate."""
_TOO_WEAK = frozenset({"EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"})
_DER_SEQUENCE = b"\x30"
"""The first byte of a certificate or key in DER, and of a file in PKCS #12."""


def wrong_contents(cert: str, key: str) -> Iterator[str]:
    """Yield one sentence for each file whose labels show that it cannot be what its option needs. Raises OSError."""
    in_cert, in_key = frozenset(_labels(cert)), frozenset(_labels(key))
    has_cert, has_key = not in_cert.isdisjoint(_CERTIFICATES), not in_key.isdisjoint(_PRIVATE_KEYS)
    if not has_cert and not has_key and in_cert & _PRIVATE_KEYS and in_key & _CERTIFICATES:
        yield f"{CERT}, {KEY}: {cert} contains a private key, and {key} a certificate; exchange the two files"
        return
    if not has_cert:
        yield f"{CERT}: {_other_content(cert, in_cert, 'certificate', 'openssl x509 -inform der')}"
    if not has_key:
        yield f"{KEY}: {_other_content(key, in_key, 'private key', 'openssl pkey -inform der')}"


def refused_files(error: ssl.SSLError, cert: str, key: str) -> str:
    """Return why OpenSSL refuses a certificate with a key, in files whose labels are right."""
    if error.reason in _OF_OTHER_KEY:
        advice = "use the key for which the certificate was issued"
        if sum(label in _CERTIFICATES for label in _labels(cert)) > 1:
            advice += ", and put the certificate of the server before those of authorities"
        return f"{CERT}, {KEY}: the key in {key} does not match the certificate in {cert}; {advice}"
    if error.reason in _TOO_WEAK:
        return (
            f"{CERT}: the certificate in {cert} is too weak for OpenSSL ({error.reason}); use one with a longer key, "
            "such as RSA with 2048 bits, and with SHA-256"
        )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cert)
    except ssl.SSLError:
        return f"{CERT}: the certificate in {cert} is damaged; copy the file again ({error.reason or error})"
    return f"{KEY}: the key in {key} is damaged or of an unknown kind; copy the file again ({error.reason or error})"


def _other_content(path: str, labels: frozenset[str], wanted: str, converter: str) -> str:
    """Return what a file contains instead of what is wanted, and what to do."""
    found = sorted({_CONTENTS[label] for label in labels if label in _CONTENTS})
    if found:
        return f"{path} contains {' and '.join(found)}, but no {wanted}; set it to the file with the {wanted} in PEM"
    start = _read(path)[:1]
    if not start:
        return f"{path} is empty"
    advice = (
        f"; convert it with {converter}, or a file .p12 or .pfx with openssl pkcs12" if start == _DER_SEQUENCE else ""
    )
    return f"{path} contains no {wanted} in PEM{advice}"


def _labels(path: str) -> list[str]:
    return [label.decode() for label in _LABEL.findall(_read(path))]


def _read(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(MAX_EXAMINED)
