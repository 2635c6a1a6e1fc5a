"""The texts about files that are not a certificate and its key. The files are real, made with openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gentrifugo.app.config.config import Config
from gentrifugo.app.config.options import ConfigError
from gentrifugo.app.tls.context import server_context
from tests.certificates import Certificate, make_certificate
from tests.parts import program


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with two certificates with keys, and with files that are taken for these."""
    directory = tmp_path_factory.mktemp("files")
    own, other = make_certificate(directory, "own"), make_certificate(directory, "other")
    make_rsa_certificate(directory, "rsa", bits=2048)
    openssl("req", "-new", "-key", str(own.key), "-subj", "/CN=own", "-out", str(directory / "request.pem"))
    openssl("pkey", "-in", str(own.key), "-pubout", "-out", str(directory / "public.pem"))
    openssl("x509", "-in", str(own.cert), "-outform", "DER", "-out", str(directory / "own.der"))
    openssl("pkey", "-in", str(own.key), "-outform", "DER", "-out", str(directory / "own-key.der"))
    bundle = ["-inkey", str(own.key), "-out", str(directory / "own.p12"), "-passout", "pass:"]
    openssl("pkcs12", "-export", "-in", str(own.cert), *bundle)
    cert, key = own.cert.read_text(), own.key.read_text()
    (directory / "both.pem").write_text(key + cert)
    (directory / "reversed.pem").write_text(other.cert.read_text() + cert)
    (directory / "torn.pem").write_text("\n".join([*cert.splitlines()[:3], *cert.splitlines()[5:]]))
    (directory / "torn-key.pem").write_text("\n".join([*key.splitlines()[:1], *key.splitlines()[2:]]))
    (directory / "empty.pem").touch()
    (directory / "garbage.pem").write_text("garbage")
    return directory


def openssl(*arguments: str) -> None:
    subprocess.run([program("openssl"), *arguments], check=True, capture_output=True, timeout=60)


def make_rsa_certificate(directory: Path, name: str, bits: int) -> None:
    made = [
        "-keyout",
        str(directory / f"{name}-key.pem"),
        "-out",
        str(directory / f"{name}.pem"),
        "-subj",
        f"/CN={name}",
    ]
    openssl("req", "-x509", "-newkey", f"rsa:{bits}", "-nodes", *made)


def problems(directory: Path, cert: str, key: str) -> list[str]:
    """Return what is wrong with two files, without the paths of their directory."""
    try:
        server_context(Config(secret="s", **Certificate(directory / cert, directory / key).options))
    except ConfigError as error:
        return [problem.replace(f"{directory}/", "") for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("cert", "key"), [("own.pem", "own-key.pem"), ("both.pem", "both.pem"), ("own.pem", "both.pem")]
)
def test_a_certificate_and_its_key_may_be_in_one_file_or_two(files: Path, cert: str, key: str) -> None:
    assert problems(files, cert, key) == []


@pytest.mark.parametrize(
    ("cert", "key", "problem"),
    [
        (
            "own-key.pem",
            "own.pem",
            "ssl_cert, ssl_key: own-key.pem contains a private key, and own.pem a certificate; exchange the two files",
        ),
        (
            "own.pem",
            "own.pem",
            "ssl_key: own.pem contains a certificate, but no private key; set it to the file with the private key in "
            "PEM",
        ),
        (
            "own-key.pem",
            "own-key.pem",
            "ssl_cert: own-key.pem contains a private key, but no certificate; set it to the file with the certificate "
            "in PEM",
        ),
        (
            "request.pem",
            "own-key.pem",
            "ssl_cert: request.pem contains a certificate request, but no certificate; set it to the file with the "
            "certificate in PEM",
        ),
        (
            "own.pem",
            "public.pem",
            "ssl_key: public.pem contains a public key, but no private key; set it to the file with the private key in "
            "PEM",
        ),
        ("empty.pem", "own-key.pem", "ssl_cert: empty.pem is empty"),
        ("own.pem", "garbage.pem", "ssl_key: garbage.pem contains no private key in PEM"),
    ],
)
def test_the_wrong_content_of_a_file_is_named(files: Path, cert: str, key: str, problem: str) -> None:
    assert problems(files, cert, key) == [problem]


@pytest.mark.parametrize(
    ("cert", "key", "option", "command"),
    [
        ("own.der", "own-key.pem", "ssl_cert", "openssl x509 -inform der"),
        ("own.p12", "own-key.pem", "ssl_cert", "openssl pkcs12"),
        ("own.pem", "own-key.der", "ssl_key", "openssl pkey -inform der"),
    ],
)
def test_the_program_that_converts_a_binary_file_is_named(
    files: Path, cert: str, key: str, option: str, command: str
) -> None:
    (problem,) = problems(files, cert, key)
    assert problem.startswith(f"{option}: own")
    assert command in problem


@pytest.mark.parametrize("key", ["other-key.pem", "rsa-key.pem"])
def test_a_key_of_another_certificate_is_named(files: Path, key: str) -> None:
    assert problems(files, "own.pem", key) == [
        f"ssl_cert, ssl_key: the key in {key} does not match the certificate in own.pem; use the key for which the "
        "certificate was issued"
    ]


def test_the_certificate_of_an_authority_before_that_of_the_server_is_pointed_out(files: Path) -> None:
    (problem,) = problems(files, "reversed.pem", "own-key.pem")
    assert problem.endswith(", and put the certificate of the server before those of authorities")


def test_a_damaged_file_is_named(files: Path) -> None:
    (problem,) = problems(files, "torn.pem", "own-key.pem")
    assert problem.startswith("ssl_cert: the certificate in torn.pem is damaged; copy the file again")
    (problem,) = problems(files, "own.pem", "torn-key.pem")
    assert problem.startswith("ssl_key: the key in torn-key.pem is damaged or of an unknown kind; copy the file again")


def test_a_certificate_that_openssl_finds_too_weak_is_named(tmp_path: Path) -> None:
    make_rsa_certificate(tmp_path, "weak", bits=1024)
    (problem,) = problems(tmp_path, "weak.pem", "weak-key.pem")
    assert problem.startswith(
        "ssl_cert: the certificate in weak.pem is too weak for OpenSSL (EE_KEY_TOO_SMALL); use one"
    )
