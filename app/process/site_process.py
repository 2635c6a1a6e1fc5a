"""The flag `--app`: serves a Flask application in one process, in several, or in one that restarts on changes.

Importing this module does not import gevent, because a serving process must be patched first and a master uses none.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ..config.command_line import GivenOptions
from ..config.config import Config
from ..config.loading import LoadedConfig
from ..config.options import ConfigError
from ..config.site_options import ApplicationError, is_debugger_requested, workers_of
from .file_watch import FILE_CHECK_INTERVAL, FileWatch, python_folders
from .master import Master, worker_command
from .reloader import FILE_CHANGED_STATUS, Reloader
from .site_settings import SiteSettings, is_settings_process, request_settings
from .standard_error import report
from .startup_checks import run_checked
from .supervised import is_worker

OPTIONS_KEPT = "the options come from the application; restart the process to apply changes"
INTERRUPTED_STATUS = 128 + signal.SIGINT
"""Exit status of a process that was interrupted at the keyboard."""


def serve_site(given: GivenOptions, path: str, arguments: Sequence[str]) -> int:
    """Serve the application at `path` until a signal; return the exit status. `arguments` are the command line.

    Errors in the code of the application are printed. Raises ConfigError for errors in the command line and, without
    `--reload`, for errors in the configuration of the application.
    """
    if given.problems:
        raise ConfigError(given.problems)
    workers = workers_of(given)
    if given.reload and workers > 1:
        raise ConfigError(["--reload: works with one process only; remove --workers"])
    is_child = is_worker(os.environ) or is_settings_process(os.environ)
    if not is_child and (given.reload or workers > 1):
        return _run_master(Reloader if given.reload else Master, arguments)
    # The watch begins before the code is loaded, so that a change during a failing load is detected.
    watch = FileWatch(python_folders(Path.cwd())) if given.reload else None
    try:
        return _run(given, path)
    except ConfigError as error:
        if not given.reload:
            raise
        report(error)
    except KeyboardInterrupt:
        return INTERRUPTED_STATUS
    except ApplicationError as error:
        print(str(error).rstrip(), file=sys.stderr)
    return 1 if watch is None else _wait_for_change(watch)


def settings_of_site(given: GivenOptions) -> SiteSettings:
    """Return the settings with which an application would be served, for another command than `serve`.

    A separate process loads the application; what its code prints goes to standard error. Raises ConfigError, without
    problems if that process has printed them.
    """
    if given.problems:
        raise ConfigError(given.problems)
    settings = request_settings(worker_command(_serving_arguments(given)), output=sys.stderr)
    if isinstance(settings, int):
        raise ConfigError([])
    return settings


def _serving_arguments(given: GivenOptions) -> list[str]:
    """Return the arguments that serve the application of another command, without the words and flags of the latter."""
    flags = {"config": given.document.path, **given.flags}
    if given.app:  # otherwise FLASK_APP in the environment names it
        flags["app"] = given.app
    return [*(f"--{name}={value}" for name, value in flags.items()), *(["--strict"] if given.strict else [])]


def _run_master(master: type[Master], arguments: Sequence[str]) -> int:
    command = worker_command(arguments)
    try:
        while (settings := request_settings(command)) == FILE_CHANGED_STATUS:
            pass
    except KeyboardInterrupt:  # the process that was asked waits for a change; it is interrupted, too
        return INTERRUPTED_STATUS
    if isinstance(settings, int):
        return settings
    loaded, endpoints = settings.loaded, settings.endpoints
    return run_checked(loaded, lambda: master(loaded, keep_configuration, command, endpoints).run())


def keep_configuration(current: Config) -> LoadedConfig:
    """Return the configuration after SIGHUP: the current one with a warning, because an application sets it."""
    return LoadedConfig(current, [OPTIONS_KEPT])


def _run(given: GivenOptions, path: str) -> int:
    """Serve the application in this process, or send its settings to a master. Raises ConfigError, ApplicationError."""
    if is_debugger_requested(given):
        os.environ["FLASK_DEBUG"] = "1"  # code of the application may ask for it while it is loaded
    from gevent import monkey

    monkey.patch_all()
    # This is imported only now, because the server must import the patched modules.
    from .site_worker import run

    return run(given, path, keep_configuration)


def _wait_for_change(watch: FileWatch) -> int:
    """Wait until code in the current directory changes. Returns the exit status."""
    parent = os.getppid()
    try:
        print("gentrifugo: waiting for a file to change in this directory", file=sys.stderr)
        while watch.find_change() is None:
            if os.getppid() != parent:
                return 1
            time.sleep(FILE_CHECK_INTERVAL)
    except KeyboardInterrupt:
        return INTERRUPTED_STATUS
    return FILE_CHANGED_STATUS
