"""The configuration of a server in a Flask application: from app.config, and from the extension's arguments."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from flask import Flask

from ..config import command_line
from ..config.config import Config
from ..config.config_file import Document
from ..config.loading import LoadedConfig, load_given
from ..config.options import APPLICATION_PREFIX, ConfigError, options_of
from .arguments import URL_PREFIX, Arguments

SOURCE = "the options of Gentrifugo(...)"
"""What errors and warnings call the mapping that was given as `config`."""
ADVICE_WITHOUT_KEY = 'set app.config["SECRET_KEY"] before the extension is initialized, or the option GENTRIFUGO_SECRET'
DERIVED_FOR = b"gentrifugo tokens"
"""Keeps the derived secret apart from SECRET_KEY, which signs sessions."""
DERIVED_FOR_JWT = b"gentrifugo JSON Web Tokens"
"""Keeps the key of JSON Web Tokens apart from both."""

FIRST_KEY = "gentrifugo_secret_key"
"""The key in `app.extensions` of the SECRET_KEY that the application had when its server was initialized."""
CHANGED_KEY = (
    'app.config["SECRET_KEY"] has changed after Gentrifugo was initialized: tokens are signed with a key that was '
    "derived from the earlier one; set SECRET_KEY before init_app(app), or Gentrifugo(app)"
)


def load(app: Flask, arguments: Arguments) -> LoadedConfig:
    """Return the checked configuration. Raises ConfigError with everything that is wrong.

    Options in app.config override the argument url_prefix, which overrides options in the argument config.
    """
    given = _given(arguments)
    options = _options_of(app)
    if arguments.url_prefix is not None:
        options.setdefault("http_prefix", arguments.url_prefix)
    elif "http_prefix" not in given.values:
        options.setdefault("http_prefix", URL_PREFIX)
    if "sockjs_iframe" not in given.values:
        # Scripts in this page have the origin of the application: it is served only where somebody asks for it.
        options.setdefault("sockjs_iframe", False)
    if "secret" not in given.values and app.secret_key:
        options.setdefault("secret", _derived(app.secret_key, DERIVED_FOR))
    if "token_hmac_secret_key" not in {**given.values, **options} and app.secret_key:
        options["token_hmac_secret_key"] = _derived(app.secret_key, DERIVED_FOR_JWT)
        given.derived.add("token_hmac_secret_key")
    given.application = options
    return load_given(given)


def _given(arguments: Arguments) -> command_line.GivenOptions:
    """Return what the argument config says. The environment and the command line are not read. Raises ConfigError."""
    if isinstance(arguments.config, str):
        given = command_line.read(options_of(Config), [f"--config={arguments.config}"], {})
        if given.document.missing:  # the command can do without its file; here somebody has named one
            raise ConfigError([f"{given.document.path}: {given.document.problem}"])
    else:
        given = command_line.GivenOptions(Document(SOURCE, arguments.config or {}))
    given.advice_without_key = ADVICE_WITHOUT_KEY
    return given


def _options_of(app: Flask) -> dict[str, Any]:
    """Return the options in app.config, by their names without the prefix."""
    return {
        name.removeprefix(APPLICATION_PREFIX).lower(): value
        for name, value in app.config.items()
        if name.startswith(APPLICATION_PREFIX)
    }


def _derived(secret_key: str | bytes, purpose: bytes) -> str:
    """Return a secret for one purpose, from which nobody can compute the application's key."""
    key = secret_key.encode() if isinstance(secret_key, str) else secret_key
    return hmac.digest(key, purpose, hashlib.sha256).hex()


def late_key_warning(app: Flask, secret: str) -> list[str]:
    """Return a warning if `secret` was derived from an earlier SECRET_KEY than the one that the application has now."""
    first = app.extensions.get(FIRST_KEY)
    return [CHANGED_KEY] if first and first != app.secret_key and secret == _derived(first, DERIVED_FOR) else []
