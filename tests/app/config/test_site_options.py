"""The selection of the application to serve, and the options for its processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gentrifugo.app.config import command_line
from gentrifugo.app.config.config import Config
from gentrifugo.app.config.options import ConfigError, options_of
from gentrifugo.app.config.site_options import application_path, is_debugger_requested, workers_of


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def given(*flags: str, **environ: str) -> command_line.GivenOptions:
    return command_line.read(options_of(Config), flags, environ)


class TestApplicationPath:
    def test_flag_app_takes_precedence_over_flask_app(self) -> None:
        assert application_path(given("--app=shop"), {"FLASK_APP": "chat"}) == "shop"

    def test_flask_app_is_used_with_options_of_the_process(self) -> None:
        flags = ("--port=80", "--reload", "--debug", "--workers=2")
        assert application_path(given(*flags, CENTRIFUGO_LOG_LEVEL="debug"), {"FLASK_APP": "chat"}) == "chat"

    @pytest.mark.parametrize("flags", [("--secret=s",), ("--insecure",), ("--config=other.json",), ("--engine=redis",)])
    def test_flask_app_is_ignored_if_there_are_other_options(self, flags: tuple[str, ...]) -> None:
        assert application_path(given(*flags), {"FLASK_APP": "chat"}) == ""

    def test_flask_app_is_ignored_if_the_environment_sets_other_options(self) -> None:
        assert application_path(given(CENTRIFUGO_SECRET="s"), {"FLASK_APP": "chat"}) == ""

    @pytest.mark.parametrize("path", ["secret", "missing"])
    def test_flask_app_is_ignored_if_the_environment_names_the_file_of_a_secret(
        self, directory: Path, path: str
    ) -> None:
        (directory / "secret").write_text("s")
        assert application_path(given(CENTRIFUGO_SECRET_FILE=path), {"FLASK_APP": "chat"}) == ""

    def test_flask_app_is_ignored_if_there_is_a_configuration_file(self, directory: Path) -> None:
        (directory / "config.json").write_text('{"secret": "s"}')
        assert application_path(given(), {"FLASK_APP": "chat"}) == ""

    def test_without_flag_and_variable_no_application_is_served(self) -> None:
        assert application_path(given("--port=80"), {}) == ""


class TestProcesses:
    @pytest.mark.parametrize(
        ("options", "expected"),
        [(given(), 1), (given("--workers=3"), 3), (given("--workers=3", CENTRIFUGO_WORKERS="2"), 3)],
    )
    def test_number_of_workers_comes_from_flags_and_environment(
        self, options: command_line.GivenOptions, expected: int
    ) -> None:
        assert workers_of(options) == expected

    def test_invalid_number_of_workers_is_refused(self) -> None:
        with pytest.raises(ConfigError, match='CENTRIFUGO_WORKERS: Must be an integer; the value is "many"'):
            workers_of(given(CENTRIFUGO_WORKERS="many"))

    def test_the_debugger_needs_the_flag(self) -> None:
        assert is_debugger_requested(given("--debug"))
        assert not is_debugger_requested(given("--debug=false"))
        assert not is_debugger_requested(given(CENTRIFUGO_DEBUG="true"))
