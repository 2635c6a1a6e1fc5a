"""Behaviour of the commands that the extension adds to `flask`, in an application of the test's own process."""

from __future__ import annotations

import subprocess
import sys
import traceback
from pathlib import Path

import click
import pytest

from gentrifugo import ConfigError, Gentrifugo
from tests.flask_sites import site
from tests.waiting import seconds

MISTAKES = {"SECRET_KEY": "a-key-of-a-test-that-is-long", "GENTRIFUGO_PORT": "abc", "GENTRIFUGO_ENGIN": "redis"}
PORT = 'app.config: GENTRIFUGO_PORT: Must be an integer; the value is "abc"'
ENGINE = "warning: app.config: unknown option GENTRIFUGO_ENGIN; did you mean GENTRIFUGO_ENGINE?"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("hello", """Invalid value for DATA: Expecting value: line 1 column 1 (char 0); strings need quotes in JSON"""),
        ('"hello"', "Error: the memory engine cannot reach a server in another process"),
    ],
    ids=["no JSON", "the memory engine"],
)
def test_a_publish_that_cannot_work_is_refused_with_the_reason(data: str, says: str) -> None:
    app = site()
    Gentrifugo(app)
    result = app.test_cli_runner().invoke(args=["realtime", "publish", "news", data])
    assert result.exit_code != 0
    assert says in result.output


def test_a_command_gets_an_error_that_it_shows_without_a_traceback() -> None:
    with click.Context(click.Command("run")), pytest.raises(ConfigError) as raised:
        Gentrifugo(site(**MISTAKES))
    assert isinstance(raised.value, click.ClickException)
    assert raised.value.format_message() == f"{PORT}.\n{ENGINE}"
    with click.Context(click.Command("run")), pytest.raises(ConfigError) as raised:
        Gentrifugo(site(), url_prefix="realtime?")
    assert isinstance(raised.value, click.ClickException)


def test_elsewhere_a_traceback_ends_with_the_public_name_and_everything_that_is_wrong() -> None:
    with pytest.raises(ConfigError) as raised:
        Gentrifugo(site(**MISTAKES))
    assert not isinstance(raised.value, click.ClickException)
    last = traceback.format_exception(raised.value)[-1]
    assert last == f"gentrifugo.ConfigError: {PORT}; {ENGINE}\n"


@pytest.mark.parametrize("command", [["run", "--port=0"], ["--debug", "run", "--port=0"], ["routes"], ["realtime"]])
@pytest.mark.parametrize("application", ["news", "factory"])
def test_flask_shows_a_bad_configuration_in_one_line_for_each_mistake(
    command: list[str], application: str, tmp_path: Path
) -> None:
    create = f"""
from flask import Blueprint, Flask
from gentrifugo import Gentrifugo

def create_app():
    app = Flask(__name__)
    app.config.update(**{MISTAKES})
    app.register_blueprint(Blueprint("pages", __name__))
    Gentrifugo(app)
    return app
"""
    (tmp_path / "factory.py").write_text(create)
    (tmp_path / "news.py").write_text(f"{create}\napp = create_app()\n")
    done = subprocess.run(
        [sys.executable, "-m", "flask", f"--app={application}.py", *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=seconds(20),
    )
    assert (done.returncode, done.stderr) == (1, f"Error: {PORT}.\n{ENGINE}\n")
