"""Behaviour of the certificate and key of a server: errors for unusable files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gentrifugo.app.config.config import Config
from gentrifugo.app.config.options import ConfigError
from gentrifugo.app.tls.context import server_context
from tests.certificates import Certificate, make_certificate
from tests.parts import program


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path)


def problems(cert: Path, key: Path) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        server_context(Config(secret="s", ssl=True, ssl_cert=str(cert), ssl_key=str(key)))
    return refused.value.problems


def test_a_key_with_a_password_is_refused(certificate: Certificate, tmp_path: Path) -> None:
    encrypted = tmp_path / "encrypted.pem"
    command = [program("openssl"), "pkey", "-in", str(certificate.key), "-aes256", "-passout", "pass:word"]
    subprocess.run([*command, "-out", str(encrypted)], check=True, capture_output=True, timeout=60)
    (problem,) = problems(certificate.cert, encrypted)
    assert problem.startswith("ssl_key: encrypted keys are not supported")


def test_a_key_of_another_certificate_is_refused(certificate: Certificate, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = make_certificate(tmp_path / "other")
    (problem,) = problems(certificate.cert, other.key)
    assert problem.endswith(f"the key in {other.key} does not match the certificate in {certificate.cert}")


def test_files_without_certificate_or_key_are_refused(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("garbage")
    (problem,) = problems(garbage, garbage)
    assert "are not a certificate and key in PEM" in problem


def test_files_that_cannot_be_read_are_all_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    text = f"cannot read {missing}: No such file or directory"
    assert problems(missing, missing) == [f"ssl_cert: {text}", f"ssl_key: {text}"]


def test_without_certificate_and_key_both_are_named() -> None:
    with pytest.raises(ConfigError) as refused:
        server_context(Config(secret="s", ssl=True))
    assert refused.value.problems == [
        "ssl_cert: required because ssl is on",
        "ssl_key: required because ssl is on",
    ]
