"""`checkconfig` reports the same errors as a server at startup."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import make_certificate
from tests.waiting import seconds

PROGRAM = str(Path(sys.executable).parent / "gentrifugo")

BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "TLS without a certificate": ({"ssl": True}, "ssl_cert: required because ssl is on"),
    "a certificate that is missing": (
        {"ssl": True, "ssl_cert": "missing.pem", "ssl_key": "key.pem"},
        "ssl_cert: cannot read missing.pem: No such file or directory",
    ),
    "a key of another certificate": (
        {"ssl": True, "ssl_cert": "own.pem", "ssl_key": "other-key.pem"},
        "ssl_cert, ssl_key: the key in other-key.pem does not match the certificate in own.pem; "
        "use the key for which the certificate was issued",
    ),
    "several workers with the memory engine": ({"workers": 2}, "workers: more than one requires --engine=redis"),
    "a log file in a missing directory": (
        {"log_file": "missing/server.log"},
        "log_file: cannot open missing/server.log: No such file or directory",
    ),
    "a log file that is a directory": ({"log_file": "."}, "log_file: cannot open .: Is a directory"),
    "a pid file in a missing directory": (
        {"pid_file": "missing/server.pid"},
        "pid_file: cannot write missing/server.pid: No such file or directory",
    ),
    "a pid file below a file": (
        {"pid_file": "config.json/server.pid"},
        "pid_file: cannot write config.json/server.pid: Not a directory",
    ),
    "an address of another machine": (
        {"address": "192.0.2.1"},
        "address, port: cannot listen on 192.0.2.1, port 0: Cannot assign requested address",
    ),
    "an address that is none": ({"address": "no.such.host.invalid"}, "address, port: cannot listen on no.such.host"),
    "a Unix socket in a missing directory": (
        {"unix_socket": "missing/server.sock"},
        "unix_socket: cannot listen at missing/server.sock: No such file or directory",
    ),
    "a Unix socket where a file is": (
        {"unix_socket": "config.json"},
        "unix_socket: cannot listen at config.json: the file exists and is not a socket",
    ),
    "a Unix socket with a long path": (
        {"unix_socket": "x" * 200},
        f"unix_socket: cannot listen at {'x' * 200}: AF_UNIX",
    ),
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    make_certificate(tmp_path, "own")
    make_certificate(tmp_path, "other")
    return tmp_path


def run(directory: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the program with these options in its file."""
    (directory / "config.json").write_text(json.dumps({"secret": "secret-of-a-test", "port": 0, **options}))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CENTRIFUGO_")}
    return subprocess.run(
        [PROGRAM, *arguments], cwd=directory, capture_output=True, text=True, timeout=seconds(30), env=environment
    )


@pytest.mark.parametrize("broken", BROKEN)
def test_checkconfig_and_serve_refuse_the_same(directory: Path, broken: str) -> None:
    options, text = BROKEN[broken]
    checked, served = run(directory, "checkconfig", **options), run(directory, "serve", **options)
    assert (checked.returncode, served.returncode) == (1, 1)
    problems = [line.removeprefix("gentrifugo: ") for line in checked.stderr.splitlines()]
    assert [problem for problem in problems if problem.startswith(text)]
    for problem in problems:
        assert problem in served.stdout + served.stderr


def test_all_problems_are_reported_at_once(directory: Path) -> None:
    options = {"ssl": True, "workers": 2, "pid_file": "missing/server.pid", "address": "192.0.2.1"}
    checked = run(directory, "checkconfig", **options)
    names = [line.removeprefix("gentrifugo: ").partition(":")[0] for line in checked.stderr.splitlines()]
    assert names == ["pid_file", "address, port", "ssl_cert", "ssl_key", "workers"]
    assert checked.stdout == ""


def test_checkconfig_creates_no_files(directory: Path) -> None:
    before = {path.name for path in directory.iterdir()} | {"config.json"}
    checked = run(directory, "checkconfig", log_file="server.log", pid_file="server.pid", unix_socket="server.sock")
    assert (checked.returncode, checked.stdout) == (0, "config.json: ok\n")
    assert {path.name for path in directory.iterdir()} == before


@pytest.mark.parametrize("command", ["checkconfig", "serve"])
def test_strict_treats_warnings_as_errors(directory: Path, command: str) -> None:
    done = run(directory, command, "--strict", prot=8000, history_size=10)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "gentrifugo: config.json: unknown option prot; did you mean port?",
        "gentrifugo: option history_size is set, but without history_lifetime no history is stored",
    ]


def test_strict_accepts_a_configuration_without_warnings(directory: Path) -> None:
    assert run(directory, "checkconfig", "--strict").stdout == "config.json: ok\n"
