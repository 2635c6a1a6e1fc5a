"""The command line: valid arguments, and errors for invalid ones."""

from __future__ import annotations

import os
import socket

import pytest

from benchmarks.cli import main, parse
from benchmarks.modes import MODES


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "MODE"),
        (["speed"], "invalid choice: 'speed'"),
        (["fanout", "--connections", "0"], "argument -n/--connections: '0' is not a number greater than 0"),
        (["fanout", "--connections", "many"], "'many' is not a number greater than 0"),
        (["fanout", "--seconds", "inf"], "'inf' is not a number greater than 0"),
        (["fanout", "--seconds", "nan"], "'nan' is not a number greater than 0"),
        (["fanout", "--pid", "1,,2"], "'1,,2' is not a comma-separated list of process IDs"),
        (["fanout", "--pid", "self"], "'self' is not a comma-separated list of process IDs"),
        (["fanout", "--sec", "1"], "unrecognized arguments: --sec 1"),
        (["idle", "--rate", "50"], "--rate has no effect on idle"),
        (["idle", "connect", "--check"], "--check has no effect on idle and connect"),
        (["fanout", "--against-pid", "1"], "--against-pid has no effect without --against"),
        (["fanout", "--against-api-key", "x"], "--against-api-key has no effect without --against"),
        (["fanout", "--nodes", "2"], "--nodes has no effect without --beside"),
        (["fanout", "--max-others", "5"], "--max-others has no effect without --against or --beside"),
        (["fanout", "--beside", "x {port}", "--pid", "1"], "--pid has no effect with --beside"),
        (["fanout", "--beside", "x {port}", "--against", "http://x"], "--against has no effect with --beside"),
        (["fanout", "--beside", "centrifugo --port=1"], "'centrifugo --port=1' must contain {port}"),
        (["fanout", "--beside", "'x {port}"], "is incomplete: No closing quotation"),
        (
            ["fanout", "--beside", "x {port}", "--nodes", "2"],
            "several nodes require Redis, so the command must contain",
        ),
        (["fanout", "--beside", "x {port}", "--options", "/nowhere"], "cannot read options from '/nowhere'"),
        (["fanout", "--protocol", "v3"], "invalid choice: 'v3'"),
        (["fanout", "--protocol", "v2"], "protocol v2 needs --api-key"),
        (["churn", "--protocol", "v2", "--api-key", "x"], "churn measures protocol v1 only"),
        (["streams"], "streams measures protocol v2 only"),
        (["streams", "--protocol", "v2-protobuf", "--api-key", "x"], "streams measures protocol v2 only"),
        (["polls", "--against", "http://127.0.0.1:1", "--against-protocol", "v2"], "polls measures protocol v1 only"),
    ],
)
def test_invalid_arguments_are_reported_in_one_line(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert complaint in said
    assert len(said.splitlines()) == 1


def test_help_lists_the_modes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert all(f"  {name} " in said for name in MODES)
    lines = said.splitlines()
    for name, only in (("churn", "v1"), ("polls", "v1"), ("streams", "v2")):
        (line,) = [line for line in lines if line.startswith(f"  {name} ")]
        assert line.endswith(f" (--protocol {only} only)")
    assert "token_hmac_secret_key, which is then the value of --secret" in said


def test_a_number_may_concern_only_some_of_the_modes() -> None:
    assert parse(["idle", "paced", "--rate", "50"]).rate == 50


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["fanout", "--size", "5"], "--size: 5 bytes is not between"),
        (["fanout", "-n", "999999999"], "999999999 connections are too many"),
        (["fanout", "--url", "localhost:8000"], "localhost:8000 is not a URL"),
        (["idle"], "mode idle measures memory and requires --pid"),
        (["fanout", "--pid", "999999999"], "process 999999999 does not exist"),
    ],
)
def test_impossible_load_is_reported_in_one_line(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert complaint in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("mode", MODES)
def test_unreachable_server_is_reported(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    protocol = ["--protocol", "v2", "--api-key", "key"] if MODES[mode].is_for_v2 else []
    assert main([mode, "--url", f"http://127.0.0.1:{port}", "--pid", str(os.getpid()), *protocol]) == 1
    said = capsys.readouterr().err
    assert "Connection refused" in said
    assert len(said.splitlines()) == 1
