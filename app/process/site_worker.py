"""Serves a Flask application in this process, which gevent has patched."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
from collections.abc import Callable
from dataclasses import replace

import gevent
from flask import Flask

from ..config.command_line import GivenOptions
from ..config.config import Config
from ..config.loading import LoadedConfig
from ..config.options import ConfigError
from ..config.site_options import application_source, is_debugger_requested
from ..extension import site
from ..views.mounted import endpoints_of
from .debugger import show_errors
from .early_signals import unblock_early_signals_in_children
from .file_watch import FILE_CHECK_INTERVAL, FileWatch, folders_of
from .reloader import FILE_CHANGED_STATUS
from .run import run_server
from .site_settings import SiteSettings, answer, is_settings_process

log = logging.getLogger(__name__)

MISSING_NAME = re.compile(r"Failed to find attribute '\w+' in '([\w.]+)'")
"""Flask's error about a module without the name that is given for the application."""
FACTORIES = ("create_app", "make_app")
"""The names of functions that Flask calls if no name is given."""


def run(given: GivenOptions, path: str, reload: Callable[[Config], LoadedConfig]) -> int:
    """Load the application at `path`, and serve it or send its settings to the parent process; returns the exit status.

    Raises ConfigError and ApplicationError.
    """
    unblock_early_signals_in_children()
    application = _find(path, application_source(given))
    loaded = site.load_site_config(application, given, path)
    if is_settings_process(os.environ):
        endpoints, key = sorted(endpoints_of(application)), application.secret_key or b""
        secret_key = key.encode() if isinstance(key, str) else key
        answer(SiteSettings(loaded.config, loaded.warnings, loaded.origin, endpoints, secret_key), os.environ)
        return 0
    if is_debugger_requested(given):
        loaded = replace(loaded, warnings=[*loaded.warnings, show_errors(application)])
    return _serve_until_change(loaded, reload, application) if given.reload else run_server(loaded, reload, application)


def _find(path: str, source: str) -> Flask:
    """Load the application, and name a factory in the error if its module has one, but not the given name."""
    try:
        return site.find(path, source)
    except ConfigError as error:
        raise ConfigError([_with_factory(problem, path) for problem in error.problems], error.warnings) from None


def _with_factory(problem: str, path: str) -> str:
    """Return the error text, with the path of a factory if the name in `path` does not exist, but a factory does."""
    missing = MISSING_NAME.search(problem)
    module = sys.modules.get(missing[1]) if missing else None
    for name in FACTORIES:
        if callable(getattr(module, name, None)):
            module_path = site.PATH_AND_NAME.split(path, maxsplit=1)[0]
            return f"{problem.removesuffix('.')}; did you mean {module_path}:{name}?"
    return problem


def _serve_until_change(loaded: LoadedConfig, reload: Callable[[Config], LoadedConfig], application: Flask) -> int:
    watch = FileWatch(folders_of(application))
    watching = gevent.spawn(_end_on_change, watch)
    status = run_server(loaded, reload, application)
    has_changed = watching.ready()
    watching.kill()
    return FILE_CHANGED_STATUS if has_changed else status


def _end_on_change(watch: FileWatch) -> None:
    """Stop the server in the same way as SIGTERM when a file changes. Clients receive the advice to reconnect."""
    while (path := watch.find_change()) is None:
        gevent.sleep(FILE_CHECK_INTERVAL)
    log.info("%s has changed, restarting", path)
    os.kill(os.getpid(), signal.SIGTERM)
