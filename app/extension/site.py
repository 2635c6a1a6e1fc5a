"""A Flask application that the command serves with all its pages: found by name, with the server that it carries."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from dataclasses import replace

from flask import Flask

from ..config import schema
from ..config.command_line import DEFAULT_PATH, Given
from ..config.config import Config, default_name
from ..config.loading import Loaded
from ..config.options import ENVIRONMENT_PREFIX, ConfigError
from ..service import Service
from ..views.mounted import service_of

PROCESS = (
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
)
"""Options of the process; all others are the application's to set."""
ONE_PROCESS = "workers: with --app one process serves; several need gunicorn (docs/deployment.md)"
FORM = "--app: expected module:name, or module:factory"


def find(path: str) -> Flask:
    """The application, or what its factory makes; modules are looked for in the current directory, too.

    Raises ConfigError. Errors of the application's own code come through as they are.
    """
    module_name, _, name = path.partition(":")
    if not module_name or not name.isidentifier():
        raise ConfigError([f"{FORM}, not {path!r}"])
    sys.path.insert(0, os.getcwd())
    if not _exists(module_name):
        raise ConfigError([f"--app: there is no module {module_name!r} here or among what is installed"])
    found = getattr(importlib.import_module(module_name), name, None)
    if callable(found) and not isinstance(found, Flask):
        found = found()
    if not isinstance(found, Flask):
        raise ConfigError([f"--app: {path} is no Flask application and no factory of one"])
    return found


def _exists(module_name: str) -> bool:
    try:
        return importlib.util.find_spec(module_name) is not None
    except (ModuleNotFoundError, ValueError):
        return False


def service_in(application: Flask, path: str) -> Service:
    """The service that the application carries. Raises ConfigError when it has none."""
    service = service_of(application)
    if service is None:
        raise ConfigError([f"--app: {path} has no Gentrifugo server: add Gentrifugo(app) to it"])
    return service


def settled(service: Service, given: Given) -> Loaded:
    """The application's configuration, with the process's own options as the command line and the environment say.

    Raises ConfigError for other options: two places for one option would be one too many.
    """
    problems = [
        f"--{name}: with --app the application sets this, as GENTRIFUGO_{name.upper()} in its config"
        for name in given.flags
        if name not in PROCESS and name != "workers"
    ]
    if "workers" in given.flags:
        problems.append(ONE_PROCESS)
    if given.document.path != DEFAULT_PATH:
        problems.append("--config: with --app the application has the options; give the file to Gentrifugo(...)")
    warnings = [
        f"{ENVIRONMENT_PREFIX}{name.upper()}: ignored, since with --app the application sets this"
        for name in given.environment
        if name not in PROCESS
    ]
    if service.config.workers > 1:
        warnings.append(ONE_PROCESS)
    values = {name: value for name, value in {**given.environment, **given.flags}.items() if name in PROCESS}
    checked, wrong = schema.check(Config, values)
    problems += [f"{given.place(name)}: {text}" for name, text in wrong.items() if name in values]
    if problems:
        raise ConfigError([*given.problems, *problems], warnings)
    config = replace(service.config, **{name: value for name, value in checked.items() if name in values})
    if service.config.name == default_name(service.config.port):
        config = replace(config, name=default_name(config.port))
    return Loaded(config, warnings, origin=f"that of the application {given.app}")
