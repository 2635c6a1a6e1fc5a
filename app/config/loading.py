"""Creates a checked `Config` from file, environment and flags, or from a mapping in code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import command_line, schema
from .channel_options import PROXIED, Namespace
from .command_line import GivenOptions
from .config import Config, default_name
from .config_file import Document, creation_advice
from .contradictions import own_server_warnings
from .invalid_values import describe_invalid
from .options import APPLICATION_PREFIX, ConfigError, options_of, split_list
from .redis_options import redis_settings
from .warnings import NO_API_KEY, accepts_backends, config_warnings

KEYS = (
    "secret",
    "token_hmac_secret_key",
    "token_rsa_public_key",
    "token_ecdsa_public_key",
    "token_jwks_public_endpoint",
    "proxy_connect_endpoint",
    "insecure",
)
"""The options with keys that identify clients; a server requires at least one of them."""


DEFAULT_KEY_ADVICE = (
    "add the first for clients of protocol v2, the second for those of v1, "
    "or turn on the option insecure for experiments"
)
"""What the user of the command can do when no source has a secret."""


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A checked configuration, the warnings about it, and the file that was read, if there was one."""

    config: Config
    warnings: list[str]
    path: Path | None = None
    origin: str = "flags and environment only"
    """Description of the source, if there was no file."""
    of_application: bool = False
    """Whether it is the configuration of a Flask application, which publishes with calls."""

    @property
    def warnings_elsewhere(self) -> list[str]:
        """The warnings, without those that do not hold if another server, such as gunicorn, listens."""
        own = set(own_server_warnings(self.config))
        return [warning for warning in self.warnings if warning not in own]

    @property
    def notes(self) -> list[str]:
        """Warnings about a server that may be as intended, so that they are no problems with --strict."""
        is_usable = self.of_application or self.config.redis_api or accepts_backends(self.config)
        return [] if is_usable else [NO_API_KEY]


def load(argv: Sequence[str], environ: Mapping[str, str]) -> LoadedConfig:
    """Read file, environment and flags, where each overrides the ones before it, and check the resulting values.

    Raises `ConfigError` with every problem at once. The file may be missing if the flags and the environment set
    what is required.
    """
    return load_given(command_line.read(options_of(Config), argv, environ))


def from_mapping(mapping: Mapping[str, Any], source: str = "options") -> LoadedConfig:
    """Check options given as a mapping in code; `source` names it in problems and warnings. Raises `ConfigError`."""
    return load_given(command_line.GivenOptions(Document(source, mapping)))


def reload(current: Config, argv: Sequence[str], environ: Mapping[str, str]) -> LoadedConfig:
    """Load again while the server runs: options that only a restart can change keep their value, with a warning.

    Raises `ConfigError`.
    """
    loaded = load(argv, environ)
    fixed = [declared.name for declared in options_of(Config) if not declared.facts.reload]
    kept = {name: getattr(current, name) for name in fixed if getattr(current, name) != getattr(loaded.config, name)}
    warnings = [
        f"option {name} has changed; restart the server to apply it"
        for name in kept
        if name != "name" or loaded.config.name != default_name(loaded.config.port)
    ]
    return LoadedConfig(replace(loaded.config, **kept), loaded.warnings + warnings, loaded.path)


def load_given(given: GivenOptions) -> LoadedConfig:
    """Check the resulting values. Raises `ConfigError` with all problems; with --strict, warnings count as problems."""
    given.replace_aliases(options_of(Config))
    checked, wrong = schema.check(Config, given.values)
    warnings = list(source_warnings(given))
    problems = [*given.problems, *given.unusable_secrets.values(), *value_problems(given, checked, wrong)]
    has_key = bool(any(checked.get(name) for name in KEYS) or set(KEYS) & (wrong.keys() | given.unusable_secrets))
    document = given.document
    if document.missing and has_key:
        warnings.insert(0, f"{document.path}: not found, using only flags and environment")
    elif document.problem:
        problems.append(f"{document.path}: {document.problem}")
    elif not has_key:
        problems.append(missing_key_problem(given))
    if problems:
        raise ConfigError(problems, warnings)
    namespaces = tuple(Namespace(**namespace) for namespace in checked.pop("namespaces", ()))
    config = Config(namespaces=namespaces, **checked)
    warnings += config_warnings(config, given.derived, given.is_for_application)
    if given.strict and warnings:
        raise ConfigError(warnings)
    return LoadedConfig(config, warnings, document.file)


def missing_key_problem(given: GivenOptions) -> str:
    """Return the error text for a configuration without a key, and what the user can do."""
    document = given.document
    is_without_options = document.file is not None and not document.values
    what = ", which is empty" if document.is_empty else ", which has no options" if is_without_options else ""
    advice = given.advice_without_key
    if not advice and is_without_options:
        advice = f"delete it and {creation_advice(document.path)}"
    return f"token_hmac_secret_key, secret: not set in {document.path}{what}; {advice or DEFAULT_KEY_ADVICE}"


def value_problems(given: GivenOptions, checked: Mapping[str, Any], wrong: Mapping[str, str]) -> Iterator[str]:
    """Yield one error text for each invalid value, and for each combination of values that is not allowed."""
    yield from describe_invalid(given, (*wrong.items(), *shared_names(given.values.get("namespaces"))))
    yield from key_problems(given, checked)
    yield from proxy_problems(given, checked)
    personal = checked.get("user_personal_channel_namespace")
    if personal and personal not in [namespace.get("name") for namespace in checked.get("namespaces", ())]:
        yield f"{given.place('user_personal_channel_namespace')}: unknown namespace {personal!r}"
    redis_options_are_valid = not any(name.startswith("redis_") for name in wrong)
    if checked.get("engine") == "redis" and redis_options_are_valid:
        redis_options = {name: value for name, value in checked.items() if name.startswith("redis_")}
        yield from redis_settings(replace(Config(), **redis_options))[1]
    if checked.get("ssl_autocert") and not checked.get("ssl"):
        place = "ssl_autocert_host_whitelist"
        if not split_list(checked.get(place, "")):
            yield f"{given.place(place)}: ssl_autocert requires ssl_autocert_host_whitelist"


def key_problems(given: GivenOptions, checked: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each secret that is used for two purposes, and for each required secret that is missing."""
    secret = checked.get("secret")
    for name in ("token_hmac_secret_key", "token_hmac_previous_secret_key"):
        if secret and checked.get(name) == secret:
            # Clients of protocol v1 choose a part of the signed texts. Such a signature must never be valid as a token.
            yield f"{given.place(name)}: must differ from secret"
    if checked.get("hook_url") and not (secret or checked.get("hook_secret") or checked.get("insecure")):
        yield f"{given.place('hook_url')}: requires hook_secret or secret, which signs the requests"


def proxy_problems(given: GivenOptions, checked: Mapping[str, Any]) -> Iterator[str]:
    """Yield one error text for each option that lets a backend decide, if the URL of the backend is not set."""
    places = {"": checked}
    places |= {f"namespaces[{index}].": each for index, each in enumerate(checked.get("namespaces", ()))}
    for path, options in places.items():
        for name in PROXIED:
            if options.get(name) and not checked.get(f"{name}_endpoint"):
                yield f"{given.place(path + name)}: requires {name}_endpoint, the URL of the backend that decides"


def shared_names(namespaces: Any) -> Iterator[tuple[str, str]]:
    """Yield path and error text for each namespace with the name of an earlier one."""
    first: dict[Any, int] = {}
    for index, namespace in enumerate(namespaces if isinstance(namespaces, (list, tuple)) else ()):
        name = namespace.get("name") if isinstance(namespace, Mapping) else None
        if isinstance(name, str) and first.setdefault(name, index) != index:
            yield f"namespaces[{index}].name", f"namespaces[{first[name]}] already has the name {name}."


def source_warnings(given: GivenOptions) -> Iterator[str]:
    """Yield warnings about the sources: unknown names, duplicate keys, environment variables without effect."""
    document = given.document
    yield from (f"{document.path}: {text}" for text in document.warnings)
    yield from (f"{document.path}: {text}" for text in schema.unknown_options(Config, document.values))
    unknown = schema.unknown_options(Config, given.application, prefix=APPLICATION_PREFIX)
    yield from (f"app.config: {text}" for text in unknown)
    yield from given.warnings
