"""The options that are allowed with `--app`. All others are set by the application."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import schema
from .command_line import GivenOptions
from .config import Config
from .invalid_values import describe_invalid
from .options import ConfigError
from .own_flags import DEFAULT_PATH

PROCESS_OPTIONS = (
    "address",
    "port",
    "ssl",
    "ssl_cert",
    "ssl_key",
    "ssl_autocert",
    "ssl_autocert_host_whitelist",
    "ssl_autocert_cache_dir",
    "ssl_autocert_directory",
    "ssl_autocert_email",
    "ssl_autocert_force_rsa",
    "ssl_autocert_server_name",
    "ssl_autocert_http",
    "ssl_autocert_http_addr",
    "unix_socket",
    "unix_socket_mode",
    "log_level",
    "log_file",
    "log_format",
    "drain_time",
    "pid_file",
    "shutdown_timeout",
    "workers",
    "worker_timeout",
)
"""Names of the options that are allowed with `--app`."""
APP_FLAG = "--app"
"""The flag that names an application."""
FLASK_APP = "FLASK_APP"
"""The environment variable with which Flask's own command finds an application."""


class ApplicationError(Exception):
    """The code of an application raised an exception during import. The text is the traceback of its own code."""


def application_path(given: GivenOptions, environ: Mapping[str, str]) -> str:
    """Return the application to serve, as module or file; empty for a server without an application.

    FLASK_APP is ignored if there is a configuration file, or an option that is not allowed with `--app`: these are for
    a server without an application.
    """
    if given.app:
        return given.app
    options = given.environment.keys() | given.flags.keys() | given.unusable_secrets.keys()
    is_alone = given.document.missing and given.document.path == DEFAULT_PATH and options <= {*PROCESS_OPTIONS, "debug"}
    return environ.get(FLASK_APP, "") if is_alone else ""


def application_source(given: GivenOptions) -> str:
    """Return where the path of the application comes from, for errors: the flag, or else the environment."""
    return APP_FLAG if given.app else FLASK_APP


def workers_of(given: GivenOptions) -> int:
    """Return the number of processes that serve the application. Raises ConfigError for an invalid value."""
    return int(_check_option(given, {**given.environment, **given.flags}, "workers", 1))


def is_debugger_requested(given: GivenOptions) -> bool:
    """Return whether the flag `--debug` is given, which with `--app` enables the debug mode of Flask.

    Raises ConfigError.
    """
    return bool(_check_option(given, given.flags, "debug", False))


def _check_option(given: GivenOptions, values: Mapping[str, object], name: str, default: Any) -> Any:
    if name not in values:
        return default
    checked, wrong = schema.check(Config, {name: values[name]})
    if name in wrong:
        raise ConfigError(list(describe_invalid(given, wrong.items())))
    return checked[name]
