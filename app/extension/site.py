"""Loads a Flask application for the command: finds it by name, and combines its options with the command line."""

from __future__ import annotations

import importlib
import re
import sys
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from flask import Flask, cli

from ..config import schema
from ..config.command_line import GivenOptions
from ..config.config import Config, default_name
from ..config.invalid_values import describe_invalid
from ..config.loading import LoadedConfig
from ..config.options import APPLICATION_PREFIX, ConfigError
from ..config.own_flags import DEFAULT_PATH
from ..config.secret_variables import SUFFIX as FILE_SUFFIX
from ..config.site_options import APP_FLAG, PROCESS_OPTIONS, ApplicationError, application_source
from ..service import Service
from ..views.mounted import service_of
from .configuration import late_key_warning
from .site_module import SiteModule

LOOPBACK = "127.0.0.1"
"""Default address with `--app`: an application under development must not be reachable from other machines."""
ONE_NODE = (
    "workers: more than one requires the Redis engine, because the memory engine does not connect processes: "
    'set app.config["GENTRIFUGO_ENGINE"] = "redis"'
)
NOT_WORKERS = (
    f"{APPLICATION_PREFIX}WORKERS: ignored; with --app use --workers, or CENTRIFUGO_WORKERS in the environment"
)
PATH_AND_NAME = re.compile(r":(?![\\/])")
"""The separator between a module, or the path of its file, and the name in it."""
LOADING_FILES = (__file__, importlib.__file__, cli.__file__)
"""Files whose code is removed from tracebacks, because it only loads the code of the application."""


def find(path: str, source: str = APP_FLAG) -> Flask:
    """Import the application at `path`, which can have any form that `flask --app` accepts.

    `source` says in errors where the path comes from. Raises ConfigError if there is no application, and
    ApplicationError if its code fails.
    """
    module_path, *names = PATH_AND_NAME.split(path, maxsplit=1)
    module_name = cli.prepare_import(module_path)
    module = SiteModule(module_path, module_name, Path(sys.path[0]))  # where `prepare_import` has put the directory
    try:
        importlib.import_module(module_name)
        return cli.locate_app(module_name, names[0] if names else None)
    except ConfigError:
        raise
    except cli.NoAppException as error:
        problem = f"{source}: {' '.join(error.message.split())}"
        other = module.describe_other()
        raise ConfigError([problem.removesuffix(".") + other if other else problem]) from None
    except Exception as error:
        if _is_missing(error, module_name):
            raise ConfigError([f"{source}: {module.describe_missing()}"]) from None
        raise ApplicationError(_traceback_of_application(error)) from None


def _is_missing(error: Exception, module_name: str) -> bool:
    """Return whether the module of the application does not exist, and not one that its own code imports."""
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return False
    return _first_frame_of_application(error) is None and f"{module_name}.".startswith(f"{error.name}.")


def _first_frame_of_application(error: BaseException) -> TracebackType | None:
    frame = error.__traceback__
    while frame is not None and _is_loading(frame.tb_frame.f_code.co_filename):
        frame = frame.tb_next
    return frame


def _is_loading(filename: str) -> bool:
    return filename in LOADING_FILES or filename.startswith("<frozen importlib")


def _traceback_of_application(error: Exception) -> str:
    """Return the traceback of an error, beginning in the code of the application."""
    return "".join(traceback.format_exception(type(error), error, _first_frame_of_application(error)))


def service_in(application: Flask, path: str, source: str) -> Service:
    """Return the service of an application at `path`, which comes from `source`. Raises ConfigError if it has none."""
    service = service_of(application)
    if service is None:
        otherwise = "" if source == APP_FLAG else f", or unset {source} to start a server without an application"
        raise ConfigError([f"{source}: {path} has no Gentrifugo server: add Gentrifugo(app) to it{otherwise}"])
    return service


def load_site_config(application: Flask, given: GivenOptions, path: str) -> LoadedConfig:
    """Return the configuration of the application at `path`, with options of the process from flags and environment.

    Raises ConfigError for other options in these sources, because the application sets them.
    """
    service = service_in(application, path, application_source(given))
    problems = [
        f"--{name}: not allowed with --app: set {APPLICATION_PREFIX}{name.upper()} in the config of the application"
        for name in given.flags
        if name not in PROCESS_OPTIONS and name != "debug"
    ]
    if given.document.path != DEFAULT_PATH:
        problems.append("--config: not allowed with --app; pass the file to Gentrifugo(...) in the application")
    variables = [given.spelling_of("environment", path) for path in _ignored_paths(given)]
    warnings = [f"{variable}: ignored with --app; set it in the application" for variable in variables]
    values = {name: value for name, value in {**given.environment, **given.flags}.items() if name in PROCESS_OPTIONS}
    checked, wrong = schema.check(Config, values)
    problems += describe_invalid(given, [(name, text) for name, text in wrong.items() if name in values])
    if problems:
        raise ConfigError([*given.problems, *problems], warnings)
    if service.config.workers > 1 and "workers" not in values:
        warnings.append(NOT_WORKERS)
    config = _of_process(service.config, {name: value for name, value in checked.items() if name in values})
    if config.workers > 1 and service.is_single:
        raise ConfigError([ONE_NODE], warnings)
    warnings += late_key_warning(application, config.secret)
    if given.strict and warnings:
        raise ConfigError(warnings)
    return LoadedConfig(config, warnings, origin=f"that of the application {path}", of_application=True)


def _ignored_paths(given: GivenOptions) -> list[str]:
    """Return the options from the environment that the application sets, with the names that the user has written."""
    written = given.written.get("environment", {})
    ignored = [written.get(name, name) for name in given.environment if name not in PROCESS_OPTIONS]
    return ignored + [name + FILE_SUFFIX.lower() for name in given.unusable_secrets]


def _of_process(config: Config, values: Mapping[str, Any]) -> Config:
    """Return the configuration of an application with these options of the process."""
    result = replace(config, **{"address": config.address or LOOPBACK, "workers": 1, **values})
    return replace(result, name=default_name(result.port)) if config.name == default_name(config.port) else result
