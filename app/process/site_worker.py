"""Serves a Flask application in this process, which gevent has patched."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from dataclasses import replace

import gevent
from flask import Flask

from ..config.command_line import Given
from ..config.config import Config
from ..config.loading import Loaded
from ..config.site_options import wants_debugger
from ..extension import site
from ..views.mounted import endpoints_of
from .debugger import show_errors
from .file_watch import LOOK_INTERVAL, FileWatch, folders_of
from .reloader import CHANGED
from .run import run_server
from .site_settings import SiteSettings, answer, is_settings_process

log = logging.getLogger(__name__)


def run(given: Given, path: str, reload: Callable[[Config], Loaded]) -> int:
    """Load the application at `path`, and serve it or send its settings to the parent process; returns the exit status.

    Raises ConfigError and ApplicationError.
    """
    application = site.find(path)
    loaded = site.load_site_config(application, given, path)
    if is_settings_process(os.environ):
        endpoints = sorted(endpoints_of(application))
        answer(SiteSettings(loaded.config, loaded.warnings, loaded.origin, endpoints), os.environ)
        return 0
    if wants_debugger(given):
        loaded = replace(loaded, warnings=[*loaded.warnings, show_errors(application)])
    return _serve_until_change(loaded, reload, application) if given.reload else run_server(loaded, reload, application)


def _serve_until_change(loaded: Loaded, reload: Callable[[Config], Loaded], application: Flask) -> int:
    watch = FileWatch(folders_of(application))
    watching = gevent.spawn(_end_on_change, watch)
    status = run_server(loaded, reload, application)
    has_changed = watching.ready()
    watching.kill()
    return CHANGED if has_changed else status


def _end_on_change(watch: FileWatch) -> None:
    """Stop the server as SIGTERM does when a file changes; clients are advised to reconnect."""
    while (path := watch.changed()) is None:
        gevent.sleep(LOOK_INTERVAL)
    log.info("%s has changed, restarting", path)
    os.kill(os.getpid(), signal.SIGTERM)
