"""Behaviour of the certificate and key of a server: errors for unusable files."""

from __future__ import annotations

import errno
import subprocess
from pathlib import Path
from typing import IO

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
    assert problem.startswith("ssl_key: encrypted keys are not supported; ")
    assert problem.endswith(f"decrypt it with openssl pkey -in {encrypted}")


def test_files_that_cannot_be_read_are_all_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    text = f"cannot read {missing}: No such file or directory"
    assert problems(missing, missing) == [f"ssl_cert: {text}", f"ssl_key: {text}"]


def test_a_file_that_the_user_may_not_read_is_named(
    certificate: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, mode: str) -> IO[bytes]:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    advice = "Permission denied; allow the user of the server to read it"
    assert problems(certificate.cert, certificate.key) == [
        f"ssl_cert: cannot read {certificate.cert}: {advice}",
        f"ssl_key: cannot read {certificate.key}: {advice}",
    ]


def test_without_certificate_and_key_both_are_named() -> None:
    with pytest.raises(ConfigError) as refused:
        server_context(Config(secret="s", ssl=True))
    assert refused.value.problems == [
        "ssl_cert: required because ssl is on; set it to the path of a file in PEM",
        "ssl_key: required because ssl is on; set it to the path of a file in PEM",
    ]
