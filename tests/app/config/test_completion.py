"""Completion in bash and zsh with the scripts of `gentrifugo completion`, in real shells."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gentrifugo.app.cli import SUBCOMMANDS
from gentrifugo.app.config.completion import SHELLS
from gentrifugo.app.config.config import Config
from gentrifugo.app.config.options import options_of
from gentrifugo.app.config.own_flags import FLAGS_ONLY, TOKEN_FLAGS
from tests.parts import program
from tests.shells import Shell, shell
from tests.waiting import seconds

FLAGS = {option.flag for option in options_of(Config) if not option.item_type} | {
    f"--{name}" for name in (*FLAGS_ONLY, *TOKEN_FLAGS)
}


def script(name: str) -> str:
    command = [sys.executable, "-m", "gentrifugo", "completion", name]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds(30)).stdout


@pytest.fixture(scope="module", params=SHELLS)
def prompt(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell with the script, in a directory with a file `conf.toml`."""
    directory = tmp_path_factory.mktemp("completion")
    (directory / "script").write_text(script(request.param))
    (directory / "conf.toml").touch()
    with shell(request.param, directory, directory / "script") as running:
        yield running


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("gentrifugo checkc", "gentrifugo checkconfig "),
        ("gentrifugo --debug checkc", "gentrifugo --debug checkconfig "),
        ("gentrifugo completion z", "gentrifugo completion zsh "),
        ("gentrifugo --versi", "gentrifugo --version "),
        ("gentrifugo serve --prometh", "gentrifugo serve --prometheus "),
        ("gentrifugo --engine=re", "gentrifugo --engine=redis "),
        ("gentrifugo --engine re", "gentrifugo --engine redis "),
        ("gentrifugo -e mem", "gentrifugo -e memory "),
        ("gentrifugo --config=con", "gentrifugo --config=conf.toml "),
        ("gentrifugo --config con", "gentrifugo --config conf.toml "),
        ("gentrifugo -c con", "gentrifugo -c conf.toml "),
        ("gentrifugo --log_level crit", "gentrifugo --log_level critical "),
    ],
)
def test_commands_flags_and_values_are_completed(prompt: Shell, typed: str, completed: str) -> None:
    assert prompt.complete(typed) == completed


@pytest.mark.parametrize("typed", ["gentrifugo --port con", "gentrifugo --port=con", "gentrifugo serve che"])
def test_values_of_free_text_are_not_completed(prompt: Shell, typed: str) -> None:
    assert prompt.complete(typed) == typed


def offered_by_bash(directory: Path, *words: str) -> set[str]:
    """All completions of bash for the last of these words."""
    (directory / "script").write_text(script("bash"))
    code = 'source ./script; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _gentrifugo; printf "%s\\n" "${COMPREPLY[@]}"'
    command = [program("bash"), "-c", code, "bash", *words]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=True, timeout=seconds(30))
    return set(done.stdout.split())


def test_every_command_and_every_flag_is_offered(tmp_path: Path) -> None:
    assert offered_by_bash(tmp_path, "gentrifugo", "") == set(SUBCOMMANDS)
    assert offered_by_bash(tmp_path, "gentrifugo", "--") == FLAGS


def test_zsh_completes_every_flag_with_its_description(tmp_path: Path) -> None:
    lines = script("zsh").splitlines()
    for flag in FLAGS:
        assert any(f"{flag}[" in line or f"{flag}=[" in line for line in lines), flag


def test_zsh_can_load_the_script_as_a_function(tmp_path: Path) -> None:
    (tmp_path / "_gentrifugo").write_text(script("zsh"))
    (tmp_path / "setup").write_text(f"fpath=({tmp_path} $fpath); compinit -D")
    with shell("zsh", tmp_path, tmp_path / "setup") as running:
        assert running.complete("gentrifugo checkc") == "gentrifugo checkconfig "
        assert running.complete("gentrifugo doc") == "gentrifugo doctor "
