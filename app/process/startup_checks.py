"""Checks of the system before startup: files, certificates, addresses and missing packages.

`serve`, the master of workers and `checkconfig` run the same checks. They create no file and bind no port. They do not
check whether a port is free, because a running instance of this server may be using it.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from .. import logs
from ..config.config import Config
from ..config.loading import LoadedConfig
from ..config.options import ConfigError
from ..server.listeners import cannot_listen, cannot_listen_at

MAX_SOCKET_PATH = 107
"""Maximum length in bytes of the path of a Unix socket on Linux."""
WORKERS_REQUIRE_REDIS = (
    "workers: more than one requires --engine=redis: the memory engine does not connect processes. Set "
    "engine to redis, or workers to 1"
)
NO_AUTOCERT = "workers: ssl_autocert works with one process only; use ssl_cert and ssl_key, or a proxy that handles TLS"


def run_checked(loaded: LoadedConfig, run: Callable[[], int]) -> int:
    """Configure the log, run the startup checks, then call `run`; returns the exit status.

    Each problem is one line in the log. Raises ConfigError if the log file cannot be opened.
    """
    problems = list(startup_problems(loaded.config))
    if any(problem.startswith("log_file: ") for problem in problems):
        raise ConfigError(problems, loaded.warnings)

    def run_if_valid() -> int:
        if problems:
            raise ConfigError(problems)
        return run()

    return logs.run_logged(loaded, run_if_valid)


def startup_problems(config: Config) -> Iterator[str]:
    """Yield one sentence, with the name of the option, for each problem that would prevent the server from starting."""
    yield from _file_problems(config)
    yield from _listener_problems(config)
    yield from tls_problems(config)
    yield from token_problems(config)
    if config.workers > 1:
        yield from worker_problems(config)


def worker_problems(config: Config) -> Iterator[str]:
    """Yield problems of a configuration with more than one worker."""
    if config.engine == "memory":
        yield WORKERS_REQUIRE_REDIS
    if config.ssl_autocert and not config.ssl:
        yield NO_AUTOCERT


def tls_problems(config: Config) -> Iterator[str]:
    """Yield problems with the certificate and its key, or with the packages that option ssl_autocert requires."""
    if config.ssl:
        # Imported only when needed, because it imports gevent, which checkconfig and the master do not use.
        from ..tls.context import server_context

        try:
            server_context(config)
        except ConfigError as error:
            yield from error.problems
    elif config.ssl_autocert:
        for package in ("acme", "cryptography"):
            if importlib.util.find_spec(package) is None:
                yield f"ssl_autocert: {package} is not installed: pip install '/path/to/the/clone[autocert]'"


def token_problems(config: Config) -> Iterator[str]:
    """Yield problems of the public keys that check tokens."""
    if config.token_rsa_public_key or config.token_ecdsa_public_key:
        # This is imported only when needed, because it imports cryptography.
        from ..protocol.v2.token_keys import configured_keys

        try:
            configured_keys(config)
        except ConfigError as error:
            yield from error.problems


def _file_problems(config: Config) -> Iterator[str]:
    if config.log_file and (reason := _cannot_write(Path(config.log_file))):
        yield f"log_file: cannot open {config.log_file}: {reason}"
    if config.pid_file and (reason := _cannot_write(Path(config.pid_file))):
        yield f"pid_file: cannot write {config.pid_file}: {reason}"


def _cannot_write(path: Path) -> str:
    """Return the reason why a file cannot be written or created; empty if it can."""
    try:
        if path.is_dir():
            return os.strerror(errno.EISDIR)
        if path.exists():
            return "" if os.access(path, os.W_OK) else os.strerror(errno.EACCES)
        path.parent.stat()  # raises ENOENT, as creating the file would
    except OSError as error:
        return error.strerror or str(error)
    if not path.parent.is_dir():
        return os.strerror(errno.ENOTDIR)
    return "" if os.access(path.parent, os.W_OK | os.X_OK) else os.strerror(errno.EACCES)


def _listener_problems(config: Config) -> Iterator[str]:
    if config.unix_socket:
        if reason := _cannot_create_socket(Path(config.unix_socket)):
            yield cannot_listen_at(config.unix_socket, reason)
    elif reason := _unusable_address(config.address):
        yield cannot_listen(config.address, config.port, "port", reason)


def _cannot_create_socket(path: Path) -> str:
    if len(os.fsencode(path)) > MAX_SOCKET_PATH:
        return "AF_UNIX path too long"
    if os.path.lexists(path) and not stat.S_ISSOCK(os.lstat(path).st_mode):
        return "the file exists and is not a socket"
    return "" if os.path.lexists(path) else _cannot_write(path)


def _unusable_address(address: str) -> str:
    """Return the reason why no socket can be bound to an address, on any port; empty if one can."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.bind((address, 0))
    except OSError as error:
        return error.strerror or str(error)
    return ""
