"""Self-signed certificates for tests, created with the openssl command; clients trust only the given one."""

from __future__ import annotations

import datetime
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.parts import program
from tests.waiting import seconds


@dataclass(frozen=True)
class Certificate:
    """A certificate for 127.0.0.1 and localhost, and its key, in files."""

    cert: Path
    key: Path

    @property
    def options(self) -> dict[str, Any]:
        """The options of a server that uses it."""
        return {"ssl": True, "ssl_cert": str(self.cert), "ssl_key": str(self.key)}

    def trusting(self) -> ssl.SSLContext:
        """Return a TLS context for a client that trusts only this certificate."""
        return ssl.create_default_context(cafile=str(self.cert))


def make_certificate(directory: Path, name: str = "server", *arguments: str, days: int = 30) -> Certificate:
    """Create a certificate; `arguments` are additional arguments of `openssl req`."""
    made = Certificate(directory / f"{name}.pem", directory / f"{name}-key.pem")
    command = [program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-keyout", str(made.key), "-out", str(made.cert), "-days", str(days), "-subj", f"/CN={name}"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    if "-passout" not in arguments:
        command.append("-nodes")
    subprocess.run([*command, *arguments], check=True, capture_output=True, timeout=seconds(20))
    return made


def self_signed(days_left: float) -> bytes:
    """Create a certificate that is valid for a hundred days, of which `days_left` are left, and return it with its key.

    The command openssl cannot create an expired certificate.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days_left)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "old")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(ends - datetime.timedelta(days=100)).not_valid_after(ends)
    made = builder.sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + made.public_bytes(serialization.Encoding.PEM)
