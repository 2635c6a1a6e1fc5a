"""What gunicorn is told for option workers, and when it cannot be."""

from __future__ import annotations

import sys

import pytest

from gentrifugo.app import workers
from gentrifugo.app.command_line import Given
from gentrifugo.app.config import Config, Loaded
from gentrifugo.app.config_file import Document
from gentrifugo.app.options import ConfigError


def config(**options: object) -> Config:
    return Config(**{"secret": "s", "engine": "redis", "workers": 3, **options})  # type: ignore[arg-type]


def settings(**options: object) -> dict[str, str]:
    command = workers.command(config(**options), "")
    assert command[:3] == [sys.executable, "-m", "gunicorn"]
    return dict(flag.removeprefix("--").split("=", 1) for flag in command[3:] if "=" in flag)


def test_it_listens_where_the_options_say() -> None:
    assert settings()["bind"] == "0.0.0.0:8000"
    assert settings(address="127.0.0.1", port=9)["bind"] == "127.0.0.1:9"
    assert settings(address="::1")["bind"] == "[::1]:8000"
    unix = settings(unix_socket="/run/g.sock", unix_socket_mode="600")
    assert (unix["bind"], unix["umask"]) == ("unix:/run/g.sock", "0o177")


def test_what_both_have_is_handed_on() -> None:
    found = settings(shutdown_timeout=25, log_level="trace", pid_file="/run/g.pid", ssl=True, ssl_cert="c", ssl_key="k")
    assert (
        found.items()
        >= {
            "workers": "3",
            "graceful-timeout": "25",
            "log-level": "debug",
            "pid": "/run/g.pid",
            "certfile": "c",
            "keyfile": "k",
        }.items()
    )


def test_flags_reach_the_workers_through_the_environment() -> None:
    given = Given(Document("options", {}))
    given.flags = {"engine": "redis", "workers": 3}
    assert workers.environment(given, {"HOME": "/root"}) == {
        "HOME": "/root",
        "CENTRIFUGO_ENGINE": "redis",
        "CENTRIFUGO_WORKERS": "1",
    }


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"engine": "memory"}, "workers: several need --engine=redis"),
        ({"api_port": "9"}, "workers: api_port and admin_port go with one process only"),
    ],
)
def test_what_does_not_go_together_is_named(options: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        workers.become(Given(Document("options", {})), Loaded(config(**options), []))
