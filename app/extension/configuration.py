"""The configuration of a server in a Flask application: from app.config, and from the extension's arguments."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from typing import Any

from flask import Flask

from ..config import command_line
from ..config.config import Config
from ..config.config_file import Document
from ..config.loading import LoadedConfig, load_given
from ..config.options import APPLICATION_PREFIX, ConfigError, options_of
from ..config.warnings import weak_key_warning
from .arguments import ARGUMENT_NAMES, URL_PREFIX, Arguments

log = logging.getLogger(__name__)

SOURCE = "the options of Gentrifugo(...)"
"""The name of the argument `config` in errors and warnings."""
ADVICE_WITHOUT_KEY = 'set app.config["SECRET_KEY"] before the extension is initialized, or the option GENTRIFUGO_SECRET'
KEY_SOURCE = "python -c 'import secrets; print(secrets.token_hex())' prints"
"""Where the developer of an application gets a good SECRET_KEY from, as the end of a sentence."""
DERIVED_FOR = b"gentrifugo tokens"
"""The purpose of the derived secret, so that it differs from SECRET_KEY, which signs sessions."""
DERIVED_FOR_JWT = b"gentrifugo JSON Web Tokens"
"""The purpose of the derived key of JSON Web Tokens, so that it differs from both."""

MIN_SIMILARITY = 0.8
"""Similarity of the beginning of a name to GENTRIFUGO, from 0 to 1, from which on the name is meant for an option."""
FIRST_KEY = "gentrifugo_secret_key"
"""The key in `app.extensions` of the SECRET_KEY that the application had when its server was initialized."""
CHANGED_KEY = (
    'app.config["SECRET_KEY"] has changed after Gentrifugo was initialized: tokens are signed with a key that was '
    "derived from the earlier one; set SECRET_KEY before init_app(app), or Gentrifugo(app)"
)

LATE_CHANGE = "app.config has changed after Gentrifugo was initialized, and is not used"
"""Begins the log lines about mistakes in options that were set too late."""


def load(app: Flask, arguments: Arguments) -> LoadedConfig:
    """Return the checked configuration. Raises ConfigError with all problems.

    Options in app.config override the argument url_prefix, which overrides options in the argument config.
    """
    if app.secret_key and not isinstance(app.secret_key, (str, bytes)):
        raise ConfigError(
            [f'app.config["SECRET_KEY"]: Must be a string or bytes, not {type(app.secret_key).__name__}.']
        )
    given = _given_options(arguments)
    given.warnings += _unused_names(app)
    options = options_in(app)
    if arguments.url_prefix is not None:
        options.setdefault("http_prefix", arguments.url_prefix)
    elif "http_prefix" not in given.values:
        options.setdefault("http_prefix", URL_PREFIX)
    if "sockjs_iframe" not in given.values:
        # Scripts in the iframe page have the origin of the application, so the page must be enabled explicitly.
        options.setdefault("sockjs_iframe", False)
    if "secret" not in given.values and app.secret_key:
        options.setdefault("secret", _derive_secret(app.secret_key, DERIVED_FOR))
    if "token_hmac_secret_key" not in {**given.values, **options} and app.secret_key:
        options["token_hmac_secret_key"] = _derive_secret(app.secret_key, DERIVED_FOR_JWT)
        given.derived.add("token_hmac_secret_key")
    given.application = options
    if app.secret_key and not app.testing and _uses_derived_secret(app.secret_key, options):
        given.warnings += weak_key_warning('app.config["SECRET_KEY"]', app.secret_key, KEY_SOURCE)
    return load_given(given)


def _uses_derived_secret(secret_key: str | bytes, options: Mapping[str, Any]) -> bool:
    """Return whether clients get signatures that are made with a secret derived from the application's key."""
    return options.get("secret") == _derive_secret(secret_key, DERIVED_FOR) or options.get(
        "token_hmac_secret_key"
    ) == _derive_secret(secret_key, DERIVED_FOR_JWT)


def _given_options(arguments: Arguments) -> command_line.GivenOptions:
    """Return the options in the argument `config`, without environment and command line. Raises ConfigError."""
    if isinstance(arguments.config, str):
        given = command_line.read(options_of(Config), [f"--config={arguments.config}"], {})
        if given.document.missing:  # only the command works without its file
            raise ConfigError([f"{given.document.path}: {given.document.problem}"])
    else:
        options = arguments.config or {}
        kept = {name: value for name, value in options.items() if str(name).lower() not in ARGUMENT_NAMES}
        given = command_line.GivenOptions(Document(SOURCE, kept))
        given.warnings += [
            f"{SOURCE}: {name}: not used; {_as_argument(name.lower())}" for name in options if name not in kept
        ]
    given.advice_without_key = ADVICE_WITHOUT_KEY
    return given


def options_in(app: Flask) -> dict[str, Any]:
    """Return the options in app.config, by their names without the prefix. As in Flask, only capitals count."""
    named = {
        name.removeprefix(APPLICATION_PREFIX).lower(): value
        for name, value in app.config.items()
        if isinstance(name, str) and name.startswith(APPLICATION_PREFIX) and name == name.upper()
    }
    return {name: value for name, value in named.items() if name not in ARGUMENT_NAMES}


def _unused_names(app: Flask) -> Iterator[str]:
    """Yield one warning for each name in app.config that is probably meant for an option, but is not the name of one.

    It has the prefix of environment variables, a misspelt one or small letters, or it is the name of an argument.
    """
    known = {name.upper() for option in options_of(Config) for name in option.names}
    own = APPLICATION_PREFIX.removesuffix("_")
    if own in app.config:
        yield (
            f"app.config: {own}: not used; each option has a name of its own, such as {own}_ENGINE; a mapping is given "
            "as Gentrifugo(app, config=…)"
        )
    for name in app.config:
        if not isinstance(name, str):
            continue  # Flask accepts any key
        prefix, _, option = name.upper().partition("_")
        right = f"{own}_{option}"
        is_meant = SequenceMatcher(None, prefix, own).ratio() >= MIN_SIMILARITY
        if is_meant and option.lower() in ARGUMENT_NAMES:
            yield f"app.config: {name}: not used; {_as_argument(option.lower())}"
        elif name.startswith(APPLICATION_PREFIX) and name != name.upper() and option not in known:
            yield f"app.config: {name}: not used; names of options are in capitals"
        elif is_meant and option in known and right not in app.config:
            yield f"app.config: {name}: not used; the name of this option is {right}"


def _as_argument(name: str) -> str:
    return f"give {name}= to Gentrifugo(...) instead"


def _derive_secret(secret_key: str | bytes, purpose: bytes) -> str:
    """Derive a secret for one purpose from the application's key, which cannot be computed from it."""
    key = secret_key.encode() if isinstance(secret_key, str) else secret_key
    return hmac.digest(key, purpose, hashlib.sha256).hex()


def options_as_text(app: Flask) -> str:
    """Return the options in app.config as text, which differs after a change, also within a list or a mapping."""
    return repr(options_in(app))


def log_late_options(app: Flask, arguments: Arguments, loaded: LoadedConfig, used: str) -> None:
    """Log the options in app.config that have other values than in the configuration that was `loaded`.

    `used` is what `options_as_text` returned then. Without a change nothing is loaded, because a file may have changed.
    """
    if options_as_text(app) == used:
        return
    try:
        now = load(app, arguments)
    except ConfigError as error:
        log.warning("%s: %s", LATE_CHANGE, error)
        return
    for warning in now.warnings:
        if warning not in loaded.warnings:
            log.warning("%s: %s", LATE_CHANGE, warning)
    names = {name: option.name for option in options_of(Config) for name in option.names}
    late = [
        f"{APPLICATION_PREFIX}{name.upper()}"
        for name in options_in(app)
        if name in names and getattr(now.config, names[name]) != getattr(loaded.config, names[name])
    ]
    if late:
        log.warning(
            "app.config: %s: not used, because set after Gentrifugo was initialized; set options before init_app(app), "
            "or Gentrifugo(app)",
            ", ".join(late),
        )


def late_key_warning(app: Flask, secret: str) -> list[str]:
    """Return a warning if `secret` was derived from an earlier SECRET_KEY than the one that the application has now."""
    first = app.extensions.get(FIRST_KEY)
    return [CHANGED_KEY] if first and first != app.secret_key and secret == _derive_secret(first, DERIVED_FOR) else []
