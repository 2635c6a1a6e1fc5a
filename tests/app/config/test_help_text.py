"""The texts of `--help`: what they contain for made-up commands and options, and how they are wrapped."""

from __future__ import annotations

import pytest

from gentrifugo.app.config.config import Config
from gentrifugo.app.config.help_text import CommandHelp, command_help, own_flags_help
from gentrifugo.app.config.options import options_of
from gentrifugo.app.config.own_flags import OwnFlag

FILE = OwnFlag("file", "Path of a file.", "-f", takes_value=True, default="a.txt")
FORCE = OwnFlag("force", "Overwrite it.")


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal with 60 columns."""
    monkeypatch.setenv("COLUMNS", "60")


def lines(command: CommandHelp) -> list[str]:
    return command_help(command, options_of(Config), Config.GROUPS).splitlines()


def test_help_of_a_command_without_flags_has_its_usage_and_description() -> None:
    assert lines(CommandHelp("wait", "Waits.")) == ["Usage: gentrifugo wait", "", "Waits."]


def test_flags_are_listed_with_short_form_value_and_default() -> None:
    assert own_flags_help("Flags", [FILE, FORCE]) == [
        "",
        "Flags:",
        "  -f, --file string               Path of a file (default",
        '                                  "a.txt").',
        "      --force                     Overwrite it.",
    ]


def test_description_is_wrapped_and_keeps_its_lines() -> None:
    text = CommandHelp(
        "copy FILE", f"Copies {'a very long file ' * 3}to another place, as in:\n    copy a.txt", [FORCE]
    )
    assert lines(text)[:6] == [
        "Usage: gentrifugo copy FILE [flags]",
        "",
        "Copies a very long file a very long file a very long file to",
        "another place, as in:",
        "    copy a.txt",
        "",
    ]


def test_options_are_listed_or_only_mentioned() -> None:
    shown = lines(CommandHelp("serve", "Serves.", [FORCE], takes_options=True, shows_options=True))
    mentioned = lines(CommandHelp("check", "Checks.", [FORCE], takes_options=True))
    assert any("--port integer" in line for line in shown)
    assert not any("--port" in line for line in mentioned)
    assert mentioned[-2].startswith("Every option can be set by its flag too")
