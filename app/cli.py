"""The `gentrifugo` command: starts the server, or checks, writes or explains its configuration.

Every error ends the command with status 1, and prints one sentence for each problem to standard error.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .._version import __version__
from .config import command_line, completion, help_text
from .config.config import Config
from .config.config_file import PARSERS
from .config.genconfig import generate
from .config.loading import LoadedConfig, load, reload
from .config.options import ConfigError, options_of
from .config.own_flags import FLAGS_ONLY, TOKEN_FLAGS
from .config.schema import suggestion
from .config.site_options import application_path
from .process.early_signals import block_early_signals
from .process.finding import PROBLEM, WARNING
from .process.standard_error import print_error, report
from .process.supervised import is_worker

if TYPE_CHECKING:
    from .process.site_settings import SiteSettings

APPLICATION_WORD = re.compile(r"[\w./-]+\.py(:[A-Za-z_]\w*(\(.*\))?)?|[A-Za-z_][\w.]*:[A-Za-z_]\w*(\(.*\))?")
"""A word that looks like an application: a file of Python, with or without a name in it, or a module with a name."""
OTHER_COMMANDS = {"gensubtoken": "gentoken --channel=CHANNEL", "checksubtoken": "checktoken"}
"""Commands of Centrifugo, and the ones to use here."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with the given arguments, by default those of the program. Returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return run(arguments)
    except ConfigError as error:
        report(error)
        return 1


def run(argv: list[str]) -> int:
    """Find the command among the arguments and run it."""
    given = command_line.read(options_of(Config), argv, {})
    name, *words = given.words or ["serve"]
    asked = words[0] if name == "help" and len(words) == 1 else name
    if asked in OTHER_COMMANDS:
        raise ConfigError([f"{asked}: unknown command; use {OTHER_COMMANDS[asked]}"])
    if given.help:
        return show_command_help(given.words[0]) if given.words else show_help(everything=False)
    if given.version:
        return version(argv)
    if name == "help" and len(words) == 1 and asked in SUBCOMMANDS:
        return show_command_help(asked)
    problems = [*given.problems]
    if not problems and name not in SUBCOMMANDS:
        hint = hint_for_word(name) or suggestion(name, SUBCOMMANDS) or '; "gentrifugo --help" lists the commands'
        problems.append(f"{name}: unknown command{hint}")
    problems += word_problems(name, words)
    if name != "gentoken":
        problems += [f"--{flag}: goes with gentoken only" for flag in given.token]
    if problems:
        raise ConfigError(problems)
    return SUBCOMMANDS[name].run(argv)


def word_problems(name: str, words: Sequence[str]) -> list[str]:
    """Return one sentence for each unexpected or missing word after the name of a command."""
    command = SUBCOMMANDS.get(name)
    choices = command.choices if command else ()
    if command and command.argument:
        while words and words[0].strip() and command.ignored_words.issuperset(words[0].lower().split()):
            words = words[1:]
        missing = [] if words else [f"{name}: expected {command.argument}"]
        return missing + [unexpected(name, word) for word in words[1:]]
    if not choices:
        return [unexpected(name, word) for word in words]
    if not words or words[0] not in choices:
        return [f"{name}: expected one of: {', '.join(choices)}"]
    return [unexpected(name, word) for word in words[1:]]


def unexpected(name: str, word: str) -> str:
    """Return the error text for a word after the name of a command that takes none."""
    if name == "gentoken":
        return f"{word}: unexpected argument; the user is given with the flag --user, and a channel with --channel"
    return f"{word}: unexpected argument{hint_for_word(word)}"


def hint_for_word(word: str) -> str:
    """Return a hint, as the end of a sentence, if a word is probably the value of a flag; empty otherwise."""
    if word.startswith("-"):
        return ""
    if Path(word).suffix in PARSERS:
        return f"; a configuration file is given as --config={word}"
    if APPLICATION_WORD.fullmatch(word):
        return f"; an application is given as --app={word}"
    return ""


def serve(argv: list[str]) -> int:
    """Run the server until it is stopped; returns the exit status."""
    block_early_signals()  # before the configuration is read, so that a reload takes effect whenever it arrives
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # only a master has something to do, and the default ends a process
    given = command_line.read(options_of(Config), argv, os.environ)
    if path := application_path(given, os.environ):
        from .process.site_process import serve_site

        return serve_site(given, path, argv)
    if given.reload:
        raise ConfigError(["--reload: requires --app, or FLASK_APP in the environment"])
    loaded = load(argv, os.environ)

    def load_again(current: Config) -> LoadedConfig:
        return reload(current, argv, os.environ)

    if loaded.config.workers > 1 and not is_worker(os.environ):
        from .process.master import run_with_workers

        return run_with_workers(loaded, load_again, argv)
    patch()
    # This is imported only now, because the server must import the patched modules.
    from .process.run import run_server

    return run_server(loaded, load_again)


def patch() -> None:
    """Monkey-patch the standard library with gevent. Not needed in the master of several workers."""
    from gevent import monkey

    monkey.patch_all()


def command_configuration(argv: list[str]) -> LoadedConfig:
    """Return the configuration that a command uses, of an application or of a server without one."""
    settings = application_settings(argv)
    return load(argv, os.environ) if settings is None else settings.loaded


def application_settings(argv: list[str]) -> SiteSettings | None:
    """Return the settings of the application that a command uses; None without one."""
    given = command_line.read(options_of(Config), argv, os.environ)
    if not application_path(given, os.environ):
        return None
    from .process.site_process import settings_of_site

    return settings_of_site(given)


def checkconfig(argv: list[str]) -> int:
    """Check the configuration and print problems; status 1 if the server would not start."""
    from .process.startup_checks import startup_problems

    loaded = command_configuration(argv)
    problems = list(startup_problems(loaded.config))
    if problems:
        raise ConfigError(problems, loaded.warnings)
    for sentence in (*loaded.warnings, *loaded.notes):
        print_error(f"warning: {sentence}")
    print_line(f"{loaded.path or loaded.origin.removeprefix('that of ').removesuffix(' only')}: ok")
    return 0


def doctor(argv: list[str]) -> int:
    """Check the configuration, this machine and Redis, and print a report; status 1 if there is a problem."""
    from .process.doctor import examine, invalid_configuration_line, summary_line

    try:
        loaded = command_configuration(argv)
    except ConfigError as error:
        report(error)
        print_line(invalid_configuration_line(len(error.problems) or 1, len(error.warnings)))
        return 1
    states = []
    for finding in examine(loaded):
        print_line(str(finding))
        states.append(finding.state)
    print_line(summary_line(states.count(PROBLEM), states.count(WARNING)))
    return int(PROBLEM in states)


def genconfig(argv: list[str]) -> int:
    """Write a new configuration file with random secrets. Existing files are not overwritten."""
    path = Path(command_line.read(options_of(Config), argv, {}).document.path)
    generate(path)
    print_line(f"{path}: written")
    return 0


def gentoken(argv: list[str]) -> int:
    """Print a connection token or subscription token for clients of protocol v2."""
    from .process.token_commands import make_token, token_warnings

    config, flags = command_configuration(argv).config, command_line.read(options_of(Config), argv, {}).token
    token = make_token(config, flags)
    for sentence in token_warnings(config, flags):
        print_error(f"warning: {sentence}")
    print_line(token)
    return 0


def checktoken(argv: list[str]) -> int:
    """Verify a token like the server, and print its claims."""
    from .process.token_commands import bare_token, claim_warnings, copy_warnings, describe_token

    _, *words = command_line.read(options_of(Config), argv, {}).words
    token = bare_token(words[-1])
    if settings := application_settings(argv):
        description = describe_token(settings.config, token, settings.secret_key)
    else:
        description = describe_token(load(argv, os.environ).config, token)
    for sentence in (*copy_warnings(words), *claim_warnings(token)):
        print_error(f"warning: {sentence}")
    print_line(description)
    return 0


def version(argv: list[str]) -> int:
    """Print the version of Gentrifugo."""
    print_line(f"Gentrifugo v{__version__}")
    return 0


def show_help(*, everything: bool) -> int:
    """Print the general help with the most common flags, or with those of all options."""
    commands = {command.usage(name): command.about for name, command in SUBCOMMANDS.items()}
    print_line(help_text.general_help(commands, options_of(Config), Config.GROUPS, everything=everything).rstrip())
    return 0


def show_command_help(name: str) -> int:
    """Print the help of one command; the general help if the command is unknown."""
    command = SUBCOMMANDS.get(name)
    if command is None:
        return show_help(everything=False)
    parts = help_text.CommandHelp(
        command.usage(name),
        command.details,
        [{**FLAGS_ONLY, **TOKEN_FLAGS}[flag] for flag in command.flags],
        command.takes_options,
        shows_options=command.run is serve,
    )
    print_line(help_text.command_help(parts, options_of(Config), Config.GROUPS).rstrip())
    return 0


def show_completion(argv: list[str]) -> int:
    """Print the script that completes this command line in a shell."""
    _, shell = command_line.read(options_of(Config), argv, {}).words
    commands = {name: (command.about, command.choices) for name, command in SUBCOMMANDS.items()}
    print_line(completion.SHELLS[shell](completion.vocabulary(commands, options_of(Config))).rstrip())
    return 0


def print_line(text: str) -> None:
    """Print a line to standard output. Bytes of a path that are not UTF-8 are escaped."""
    try:
        print(text.encode(errors="backslashreplace").decode(), flush=True)
    except OSError as error:
        # Data left in the buffer would cause another error, with a traceback, when the interpreter exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        reader_left = isinstance(error, BrokenPipeError)
        raise ConfigError([] if reader_left else [f"standard output: {error.strerror}"]) from None


@dataclass(frozen=True)
class Subcommand:
    """A command: its function, its descriptions in the help, its possible arguments and its flags."""

    run: Callable[[list[str]], int]
    about: str
    """The description in the list of commands."""
    details: str
    """The description in the help of the command itself."""
    choices: tuple[str, ...] = ()
    argument: str = ""
    """The name of its argument in the help, if any text is allowed."""
    ignored_words: frozenset[str] = frozenset()
    """Words, in lower case, that may be copied with the argument and stand before it."""
    flags: tuple[str, ...] = ()
    """The names of its flags that are not options."""
    takes_options: bool = False
    """Whether the flags of options have an effect."""

    def usage(self, name: str) -> str:
        """Return how the command is called in the help: its name, and its argument if it has one."""
        return " ".join(filter(None, (name, "|".join(self.choices) or self.argument)))


SUBCOMMANDS = {
    "serve": Subcommand(
        serve,
        "start the server (default)",
        "Starts the server, which runs until it gets the signal INT or TERM. HUP reloads the configuration.",
        flags=("config", "app", "reload", "strict"),
        takes_options=True,
    ),
    "checkconfig": Subcommand(
        checkconfig,
        "check the configuration and exit",
        "Checks the configuration as the server does before it starts: values, files, certificates and addresses. "
        "Prints all problems and warnings; the exit status is 1 if the server would not start.",
        flags=("config", "app", "strict"),
        takes_options=True,
    ),
    "doctor": Subcommand(
        doctor,
        "check configuration, machine and Redis",
        "Checks the configuration, limits of the system, ports, files, certificates and Redis, and says what to do "
        "about each problem. The exit status is 1 if there is a problem; warnings do not count.",
        flags=("config", "app", "strict"),
        takes_options=True,
    ),
    "genconfig": Subcommand(
        genconfig,
        "write a configuration file with fresh secrets",
        "Writes a configuration file with random secrets, which only its owner can read: JSON, TOML or YAML, by the "
        "suffix of its name. An existing file is not overwritten.",
        flags=("config",),
    ),
    "gentoken": Subcommand(
        gentoken,
        "create a token: --user 42, --channel news",
        "Prints a connection token for a client of protocol v2, or with --channel a subscription token, for "
        "experiments. It is signed with the option token_hmac_secret_key.",
        flags=("config", "app", *TOKEN_FLAGS),
        takes_options=True,
    ),
    "checktoken": Subcommand(
        checktoken,
        "verify a token and show its claims",
        "Verifies a connection token or subscription token as the server does, with the keys in the configuration, and "
        "prints its claims as JSON. The exit status is 1 if the server would refuse the token.",
        argument="TOKEN",
        ignored_words=frozenset({"authorization:", "authorization", "bearer", "bearer:"}),
        flags=("config", "app"),
        takes_options=True,
    ),
    "version": Subcommand(version, "show the version", "Prints the version of Gentrifugo."),
    "completion": Subcommand(
        show_completion,
        "print a script that completes commands and flags",
        "Prints a script with which a shell completes commands, flags and values. In bash:\n"
        "    source <(gentrifugo completion bash)",
        choices=tuple(completion.SHELLS),
    ),
    "help": Subcommand(
        lambda argv: show_help(everything=True),
        "show the flags of all options",
        "Prints the list of commands, and the flags of all options; or describes the command that follows.",
    ),
}
