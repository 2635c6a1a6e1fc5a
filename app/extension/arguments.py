"""The arguments of `Gentrifugo(...)` and `init_app(...)`, checked where they are given.

Only the form of the arguments is checked here. The options in `config` are checked when an application is initialized.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import flask
from flask import Flask
from werkzeug.local import LocalProxy

from ..config.endpoints import ENDPOINTS
from ..config.options import ConfigError

Options: TypeAlias = Mapping[str, Any] | str | os.PathLike[str]
"""Options by name, or the path of a configuration file."""

URL_PREFIX = "/realtime"
"""The default path of the endpoints."""
URL_PREFIX_FORM = re.compile(r"/([^/?#<>\s]+(/[^/?#<>\s]+)*)?")
"""A path without empty parts, query, fragment and white space. `<…>` would be a variable of a route in Flask."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of one call; None for an argument that was not given."""

    config: Mapping[str, Any] | str | None = None
    """Options by name, or the path of a configuration file."""
    url_prefix: str | None = None
    """A path that begins with a slash and does not end with one; empty for the root."""
    endpoints: frozenset[str] | None = None

    def with_defaults(self, defaults: Arguments) -> Arguments:
        """Replace arguments that were not given by defaults. Values are not merged."""
        return Arguments(
            defaults.config if self.config is None else self.config,
            defaults.url_prefix if self.url_prefix is None else self.url_prefix,
            defaults.endpoints if self.endpoints is None else self.endpoints,
        )


ARGUMENT_NAMES = frozenset(field.name for field in fields(Arguments))
"""The names of the arguments, none of which is an option."""


def check_arguments(config: Options | None, url_prefix: str | None, endpoints: Collection[str] | None) -> Arguments:
    """Check and normalize the arguments. Later changes of a given mapping or list have no effect.

    Raises TypeError for an argument of the wrong type, ValueError for unknown endpoints, and ConfigError for a
    url_prefix that is not a path.
    """
    return Arguments(
        None if config is None else _config(config),
        None if url_prefix is None else _url_prefix(url_prefix),
        None if endpoints is None else _endpoints(endpoints),
    )


def checked_app(app: object) -> Flask:
    """Return the application, even if `app` is Flask's proxy `current_app`. Raises TypeError for other objects."""
    if isinstance(app, LocalProxy):
        app = app._get_current_object()
    if not isinstance(app, Flask):
        raise TypeError(f"app: expected a Flask application, not {type(app).__name__}; options are given as config=…")
    return app


def _config(config: object) -> Mapping[str, Any] | str:
    if isinstance(config, flask.Config):
        raise TypeError("config: leave out app.config; its values whose names begin with GENTRIFUGO_ are always used")
    if isinstance(config, Mapping):
        return dict(config)
    if isinstance(config, (str, os.PathLike)):
        return os.fspath(config)
    raise TypeError(
        f"config: expected options by name, or the path of a configuration file, not {type(config).__name__}"
    )


def _url_prefix(url_prefix: object) -> str:
    """Check and normalize url_prefix to the form of option http_prefix."""
    if not isinstance(url_prefix, str):
        raise TypeError(f"url_prefix: expected a path such as {URL_PREFIX!r}, not {type(url_prefix).__name__}")
    path = f"/{url_prefix.strip('/')}"
    if not URL_PREFIX_FORM.fullmatch(path):
        raise ConfigError([f"url_prefix: Must be a path such as {URL_PREFIX!r}, or empty; not {url_prefix!r}."])
    return path.rstrip("/")


def _endpoints(endpoints: object) -> frozenset[str]:
    if isinstance(endpoints, (str, bytes)) or not isinstance(endpoints, Collection):
        raise TypeError(f'endpoints: expected a list of names, such as ["client"], not {endpoints!r}')
    if unknown := sorted(str(name) for name in endpoints if name not in ENDPOINTS):
        raise ValueError(f"unknown endpoints: {', '.join(unknown)}; possible endpoints: {', '.join(ENDPOINTS)}")
    return frozenset(endpoints)
