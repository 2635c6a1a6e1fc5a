"""Reads the command line, the environment and the configuration file with ConfigArgParse, and keeps them apart.

Only names are checked here. Values are passed on unchanged, with the place where the user has set them for error
messages.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import configargparse

from .aliases import without_aliases
from .config_file import Document, DocumentParser
from .options import APPLICATION_PREFIX, ENVIRONMENT_PREFIX, ConfigError, Option
from .other_names import flat_names, new_name_of
from .own_flags import FLAGS_ONLY, TOKEN_FLAGS
from .schema import suggestion
from .secret_variables import SUFFIX, read_secrets
from .spelling import with_separate_flags, with_usual_names

ONLY_IN_FILE = "can be set only in the configuration file"
BOOLEAN_WORDS = frozenset(("true", "false", "yes", "no", "on", "off", "1", "0"))
"""Words that are meant as the value of the flag before them; no command and no argument has such a name."""


OVERRIDING_SOURCES = ("application", "flags", "environment")
"""The attributes of `GivenOptions` with values that override those of the file; the first of them is used."""


@dataclass
class GivenOptions:
    """The options that the user has set, by source. The values are unchecked."""

    document: Document
    environment: dict[str, str] = field(default_factory=dict)
    flags: dict[str, str] = field(default_factory=dict)
    application: dict[str, Any] = field(default_factory=dict)
    """Options in the config of a Flask application."""
    words: list[str] = field(default_factory=list)
    help: bool = False
    version: bool = False
    strict: bool = False
    """Whether warnings are errors."""
    reload: bool = False
    """Whether the Flask application is restarted when its files change."""
    app: str = ""
    """The Flask application to serve: a module or a file, optionally followed by :name."""
    derived: set[str] = field(default_factory=set)
    """Options in `application` that are not set explicitly, but computed from other ones."""
    written: dict[str, dict[str, str]] = field(default_factory=dict)
    """For each source, the paths that the user has written with an alias, by the path with the option's own name."""
    unusable_secrets: dict[str, str] = field(default_factory=dict)
    """The error text for each option for which the environment names a file that cannot be used.

    They are not among the `problems`, because a server with `--app` does not use these files.
    """
    token: dict[str, str] = field(default_factory=dict)
    """The values of the flags of the command `gentoken`."""
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    advice_without_key: str = ""
    """What the user of the extension can do when no source has a secret; empty for the command."""

    @property
    def is_for_application(self) -> bool:
        """Whether the options are those of a Flask application, which may have hooks of its own."""
        return bool(self.advice_without_key)

    @property
    def values(self) -> dict[str, Any]:
        """The resulting values: a flag overrides the environment, and the environment overrides the file.

        Values in the config of an application override all others; flags cannot be given together with them.
        """
        return {**self.document.values, **self.environment, **self.flags, **self.application}

    def place(self, path: str) -> str:
        """Return the place where the option at `path` (`port`, `namespaces[1].name`) was set, for error messages."""
        name = path.partition("[")[0]
        source = next((each for each in OVERRIDING_SOURCES if name in getattr(self, each)), "document")
        return self.spelling_of(source, self.written.get(source, {}).get(path, path))

    def spelling_of(self, source: str, path: str) -> str:
        """Return the path of a value as this source spells it: `--port`, `CENTRIFUGO_PORT`, `config.json: port`."""
        name = path.partition("[")[0]
        if source == "application":
            return f"app.config: {APPLICATION_PREFIX}{name.upper()}{path.removeprefix(name)}"
        if source == "flags":
            return f"--{name}"
        if source == "environment":
            return ENVIRONMENT_PREFIX + name.upper()
        return f"{self.document.path}: {path}"

    def replace_aliases(self, options: Sequence[Option]) -> None:
        """Replace aliases by the options' own names, with a warning for each option that is given under two names.

        Can be called repeatedly, after more values were added.
        """
        for source in ("document", *OVERRIDING_SOURCES):
            holder, attribute = (self.document, "values") if source == "document" else (self, source)
            found = without_aliases(options, getattr(holder, attribute))
            setattr(holder, attribute, found.values)
            self.written.setdefault(source, {}).update(found.written)
            self.warnings += [
                f"{self.spelling_of(source, path)}: not used, because {used} is set, too"
                for path, used in found.unused.items()
            ]


class SourceParser(configargparse.ArgumentParser):  # type: ignore[misc]
    """ConfigArgParse, changed to leave the values of file and environment unconverted.

    It would convert them to command line arguments, which loses types and lists, and treats a value that begins with
    a dash as a flag.
    """

    def convert_item_to_command_line_arg(self, action: Any, key: str, value: Any) -> list[str]:
        """Add nothing to the command line; the value is in `get_source_to_settings_dict`."""
        return []


def build_parser(options: Sequence[Option], documents: DocumentParser) -> SourceParser:
    """Return a parser for the flags of all options; `documents` opens and parses the file."""
    parser = SourceParser(
        add_help=False,
        allow_abbrev=False,
        exit_on_error=False,
        argument_default=argparse.SUPPRESS,
        auto_env_var_prefix=ENVIRONMENT_PREFIX,
        config_file_parser_class=documents,
        config_file_open_func=documents.open,
    )
    for flag in FLAGS_ONLY.values():
        if flag.takes_value:
            parser.add_argument(*flag.names, default=flag.default, is_config_file_arg=flag.name == "config")
        else:
            parser.add_argument(*flag.names, action="store_true", default=False)
    for flag in TOKEN_FLAGS.values():
        parser.add_argument(*flag.names)
    for option in options:
        parser.add_argument(*filter(None, (option.facts.short, option.flag)), dest=option.name)
        for alias in option.facts.aliases:
            parser.add_argument(f"--{alias}", dest=alias)
    parser.add_argument("words", nargs="*", default=[])
    return parser


def read(options: Sequence[Option], argv: Sequence[str], environ: Mapping[str, str]) -> GivenOptions:
    """Read all three sources. Unknown names are collected in the result. What follows `--` are words, not flags.

    Raises `ConfigError` for a flag without its value, after which flags and values cannot be told apart.
    """
    settable = [option for option in options if not option.item_type]
    documents = DocumentParser()
    parser = build_parser(settable, documents)
    from_kubernetes = kubernetes_variables(environ, ENVIRONMENT_PREFIX)
    ignored = from_kubernetes | kubernetes_variables(environ, APPLICATION_PREFIX)
    secrets = read_secrets(settable, {name: value for name, value in environ.items() if value and name not in ignored})
    flags_end = argv.index("--") if "--" in argv else len(argv)
    argv, only_words = argv[:flags_end], argv[flags_end + 1 :]
    try:
        parsed, leftover = parser.parse_known_args(
            normalize_arguments([*with_separate_flags(argv, settable)], settable), env_vars=secrets.variables
        )
    except argparse.ArgumentError as error:
        raise ConfigError([f"{error.argument_name}: {error.message}"]) from None
    if not parsed.config:
        raise ConfigError(["-c/--config: expected the path of a file"])
    documents.document.values = with_usual_names(options, documents.document.values)
    flags = vars(parsed)
    no_options = {name: flags.pop(name) for name in ("words", *FLAGS_ONLY) if name != "config"}
    token = {name: flags.pop(name) for name in TOKEN_FLAGS if name in flags}
    given = GivenOptions(documents.document, **no_options, token=token)
    given.flags = {name: value for name, value in flags.items() if name != "config"}
    settings = parser.get_source_to_settings_dict().get("environment_variables", {})
    given.environment = {action.dest: value for action, value in settings.values()}
    given.unusable_secrets = secrets.unusable
    given.replace_aliases(options)
    given.written["environment"].update(secrets.spellings)
    note_leftover(given, leftover, argv, options)
    given.words += only_words
    given.warnings += unknown_variables(secrets.variables, options)
    if from_kubernetes:
        given.warnings.append(
            f"ignoring the variables that Kubernetes sets for services: {', '.join(sorted(from_kubernetes))}"
        )
    return given


def note_leftover(given: GivenOptions, leftover: Sequence[str], argv: Sequence[str], options: Sequence[Option]) -> None:
    """Add to `given` the words that come after a flag, and the problems of arguments that cannot be read."""
    if any(argument.startswith("-") for argument in leftover):
        given.problems += argument_problems(leftover, options)
    else:
        given.words += leftover
    for flag, value in separate_values(argv, options):
        given.problems.append(f"{flag}: a value needs an equals sign: {flag}={value}")
        if value in given.words:
            given.words.remove(value)


def normalize_arguments(argv: Sequence[str], options: Sequence[Option]) -> list[str]:
    """Normalize arguments for argparse: underscores in the names of flags, and a value for each boolean flag."""
    names = {f"--{name}" for option in options for name in option.names}
    bare = boolean_flags(options)
    result: list[str] = []
    for argument in argv:
        name, equals, value = argument.partition("=")
        underscored = "--" + name[2:].replace("-", "_")
        if name.startswith("--") and underscored in names:
            name = underscored
        if name in bare and not equals:
            equals, value = "=", "true"
        result.append(name + equals + value)
    return result


def boolean_flags(options: Sequence[Option]) -> set[str]:
    """Return the flags that need no value, in all forms with underscores."""
    booleans = [option for option in options if option.type is bool]
    return {f"--{name}" for option in booleans for name in option.names} | {
        option.facts.short for option in booleans if option.facts.short
    }


def separate_values(argv: Sequence[str], options: Sequence[Option]) -> Iterator[tuple[str, str]]:
    """Yield each boolean flag that a word such as `false` follows, and this word, which is not read as its value."""
    bare = boolean_flags(options)
    for flag, word in pairwise(argv):
        name = f"--{flag[2:].replace('-', '_')}" if flag.startswith("--") else flag
        if word.lower() in BOOLEAN_WORDS and name in bare:
            yield flag, word


def argument_problems(leftover: Sequence[str], options: Sequence[Option]) -> Iterator[str]:
    """Yield one error text for each unknown flag. A word after it counts as its value."""
    known = [name for option in options for name in option.names] + [*FLAGS_ONLY, *TOKEN_FLAGS]
    flags = [argument.partition("=")[0] for argument in leftover if argument.startswith("-")]
    in_file = [name for option in options if option.item_type for name in option.names]
    for flag in flags:
        name = flag.lstrip("-").replace("-", "_")
        hint = suggestion(name, known, "--") or '; "gentrifugo help" lists the flags'
        yield f"{flag}: {ONLY_IN_FILE}" if name in in_file else f"{flag}: unknown flag{hint}"


def unknown_variables(environ: Mapping[str, str], options: Sequence[Option]) -> Iterator[str]:
    """Yield one warning for each environment variable that begins with CENTRIFUGO_ and sets no option.

    Those that begin with GENTRIFUGO_, the prefix in a Flask application, set no option either.
    """
    settable = {name.upper(): option.item_type is None for option in options for name in option.names}
    settable |= {option.name.upper() + SUFFIX: True for option in options if option.facts.secret}
    for variable in environ:
        name = variable.removeprefix(ENVIRONMENT_PREFIX)
        in_file = [flat for flat in flat_names(name.lower()) if settable.get(flat.upper()) is False]
        if name != variable and name not in settable and in_file:
            yield f"{variable}: not used; option {in_file[0]} {ONLY_IN_FILE}"
        elif name != variable and name not in settable:
            yield f"{variable}: unknown option{_variable_hint(name, options)}"
        elif name != variable and not settable[name]:
            yield f"{variable}: not used, because this option {ONLY_IN_FILE}"
        elif settable.get(own := variable.removeprefix(APPLICATION_PREFIX)) and own != variable:
            yield f"{variable}: not used; the variable of this option is {ENVIRONMENT_PREFIX}{own}"


def _variable_hint(name: str, options: Sequence[Option]) -> str:
    """Return a hint for an unknown variable, given without its prefix; only secrets have variables that name files."""
    by_name = {known: option for option in options for known in option.names}
    base = name.lower().removesuffix(SUFFIX.lower())
    meant = [known for flat in flat_names(base) for known in (new_name_of(flat), flat) if known in by_name]
    if name.endswith(SUFFIX) and meant and not meant[0].startswith("insecure"):
        option = by_name[meant[0]]
        variable = ENVIRONMENT_PREFIX + option.name.upper()
        if option.facts.secret:
            return f"; use {variable}{SUFFIX} instead"
        use = f"; only secrets can come from a file, so use {variable}"
        return f"; option {option.name} {ONLY_IN_FILE}" if option.item_type else use
    secrets = [option.name.upper() for option in options if option.facts.secret]
    names = list(map(str.upper, by_name))
    if not name.endswith(SUFFIX):
        return suggestion(name, [*names, *(secret + SUFFIX for secret in secrets)], ENVIRONMENT_PREFIX)
    if hint := suggestion(name, names, ENVIRONMENT_PREFIX):
        return hint
    hint = suggestion(base, secrets, ENVIRONMENT_PREFIX)
    return f"{hint.removesuffix('?')}{SUFFIX}?" if hint.endswith("?") else ""


def kubernetes_variables(environ: Mapping[str, str], prefix: str) -> set[str]:
    """Return the variables that Kubernetes sets in every container for a service whose variables have this prefix.

    Those of the services centrifugo and centrifugo-… have the same prefix as options, and
    `CENTRIFUGO_PORT=tcp://10.0.0.7:8000` even has the name of an option.
    """
    services = [name.removesuffix("_SERVICE_HOST") for name in environ if name.endswith("_SERVICE_HOST")]
    found: set[str] = set()
    for service in services:
        if not f"{service}_".startswith(prefix):
            continue
        made = re.compile(rf"{re.escape(service)}_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")
        found |= {name for name in environ if made.fullmatch(name)}
        address = f"{service}_PORT"
        if "://" in environ.get(address, ""):  # otherwise the user has set the option
            found.add(address)
    return found
