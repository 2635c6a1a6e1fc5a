"""The texts of `--help`, made from the table of commands, the flags and the declared options."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .options import Option
from .own_flags import FLAGS_ONLY, TOKEN_FLAGS, OwnFlag

MIN_WIDTH = 60
MAX_WIDTH = 110
COLUMN = 34
"""Column where the descriptions of flags begin."""
COMMAND_COLUMN = 29
"""Column where the descriptions of commands begin."""

HELP_HEAD = """\
Gentrifugo, a real-time messaging server.

Usage: gentrifugo [command] [flags]

Commands:
"""
OPTIONS_TAIL = (
    "Every option can be set in the configuration file (JSON, TOML or YAML), in the environment as CENTRIFUGO_ plus "
    "its name in capitals, or on the command line, with dashes or underscores; namespaces can be set only in the file. "
    'Times are seconds, or texts with units such as "1m30s". '
    "A flag overrides the environment, and the environment overrides the file. "
    '"gentrifugo help" lists the flags of all options.'
)
COMMAND_TAIL = '"gentrifugo COMMAND --help" explains a command, with its flags.'
MORE_FLAGS = 'Every option can be set by its flag too, as with "gentrifugo serve"; "gentrifugo help" lists them.'


@dataclass(frozen=True)
class CommandHelp:
    """The parts of the help of one command: how it is called, what it does, and which flags it takes."""

    usage: str
    """The name of the command with its arguments."""
    details: str
    flags: Sequence[OwnFlag] = ()
    takes_options: bool = False
    """Whether options can be set by their flags."""
    shows_options: bool = False
    """Whether the help lists the most common flags of options."""


def general_help(
    commands: Mapping[str, str], options: Sequence[Option], groups: Mapping[str, str], *, everything: bool
) -> str:
    """Return the general help: commands with descriptions, and the most common flags or the flags of all options."""
    lines = [HELP_HEAD.rstrip()]
    lines += [f"  {name}".ljust(COMMAND_COLUMN) + sentence for name, sentence in commands.items()]
    lines += own_flags_help("Flags", FLAGS_ONLY.values())
    lines += own_flags_help("Flags of gentoken", TOKEN_FLAGS.values())
    lines += options_help(options, groups, everything=everything)
    return "\n".join([*lines, "", *paragraph(OPTIONS_TAIL), "", *paragraph(COMMAND_TAIL), ""])


def command_help(command: CommandHelp, options: Sequence[Option], groups: Mapping[str, str]) -> str:
    """Return the help of one command."""
    lines = [f"Usage: gentrifugo {command.usage}{' [flags]' if command.flags else ''}", "", *paragraph(command.details)]
    if command.flags:
        lines += own_flags_help("Flags", command.flags)
    if command.shows_options:
        lines += [*options_help(options, groups), "", *paragraph(OPTIONS_TAIL)]
    elif command.takes_options:
        lines += ["", *paragraph(MORE_FLAGS)]
    return "\n".join([*lines, ""])


def paragraph(text: str) -> list[str]:
    """Return the lines of a text; each of them is wrapped to the width of the terminal."""
    return [wrapped for line in text.split("\n") for wrapped in textwrap.wrap(line, help_width())]


def help_width() -> int:
    """Return the width of the help text in columns: that of the terminal, within limits."""
    return max(MIN_WIDTH, min(shutil.get_terminal_size().columns, MAX_WIDTH))


def own_flags_help(title: str, flags: Iterable[OwnFlag]) -> list[str]:
    """Return the lines for flags that are not options, after a title."""
    lines = ["", f"{title}:"]
    for flag in flags:
        value = " string" if flag.takes_value else ""
        default = f'"{flag.default}"' if flag.default else ""
        lines += flag_help(flag.short, f"--{flag.name}{value}", flag.about, default)
    return lines


def options_help(options: Sequence[Option], groups: Mapping[str, str], *, everything: bool = False) -> list[str]:
    """Return the lines for the most common flags of options, or for all of them, with the titles of their groups."""
    lines, title = [], ""
    for option in options:
        title = groups.get(option.name, title)
        if option.item_type or not (everything or option.facts.flag):
            continue
        if title:
            lines += ["", f"{title}:"]
            title = ""
        lines += option_help(option)
    return lines


def option_help(option: Option) -> list[str]:
    """Return the help text of an option's flag. Defaults that are false or empty are not shown."""
    value = "" if option.type is bool else f" {option.facts.unit or option.kind}"
    default = "" if option.default_text in ("false", '""') else option.default_text
    others = (
        f" Other names: {', '.join(f'--{alias}' for alias in option.facts.aliases)}." if option.facts.aliases else ""
    )
    return flag_help(option.facts.short, option.flag + value, option.facts.about, default, others)


def flag_help(short: str, long: str, sentence: str, default: str = "", others: str = "") -> list[str]:
    """Return the lines for a flag: the flag in the first column, and its description in the second.

    A flag that is too long for the first column has a line of its own.
    """
    names = f"{short + ',' if short else '':>5} {long}"
    text = (f"{sentence.rstrip('.')} (default {default})." if default else sentence) + others
    width = help_width()
    if len(names) < COLUMN - 1:
        return textwrap.wrap(text, width, initial_indent=names.ljust(COLUMN), subsequent_indent=" " * COLUMN)
    return [names, *textwrap.wrap(text, width, initial_indent=" " * COLUMN, subsequent_indent=" " * COLUMN)]
