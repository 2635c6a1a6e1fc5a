"""`--workers`: several processes behind one port, which gunicorn starts, watches and replaces."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping

from .command_line import Given
from .config import Config, Loaded
from .limits import BACKLOG
from .mounted import own_ports
from .options import ENVIRONMENT_PREFIX, ConfigError

CONNECTIONS = 100_000
"""What gunicorn lets a worker have; the limit of open files comes first."""
LOG_LEVELS = {"trace": "debug", "fatal": "critical", "none": "critical"}
"""Levels that gunicorn has other names for."""


def become(given: Given, loaded: Loaded) -> None:
    """Become gunicorn, which serves the configuration with as many workers as it says. Raises ConfigError."""
    config = loaded.config
    if problems := _problems(config):
        raise ConfigError(problems)
    os.execve(sys.executable, command(config, str(loaded.path or "")), environment(given, os.environ))


def _problems(config: Config) -> list[str]:
    problems = []
    if config.engine == "memory":
        problems.append("workers: several need --engine=redis: with the memory engine each is a server of its own")
    if own_ports(config):
        problems.append("workers: api_port and admin_port go with one process only; let a proxy keep the world out")
    if config.ssl_autocert and not config.ssl:
        problems.append("workers: ssl_autocert goes with one process only; use ssl_cert and ssl_key, or a proxy")
    if importlib.util.find_spec("gunicorn") is None:
        problems.append("workers: gunicorn is not installed: pip install 'gentrifugo[gunicorn]'")
    return problems


def command(config: Config, path: str) -> list[str]:
    """gunicorn's command line for a configuration, which each worker reads again at `path`."""
    bind = f"unix:{config.unix_socket}" if config.unix_socket else f"{_host(config.address)}:{config.port}"
    settings = {
        "bind": bind,
        "workers": config.workers,
        "worker-class": "gentrifugo.app.worker.GentrifugoWorker",
        "worker-connections": CONNECTIONS,
        "backlog": BACKLOG,
        "graceful-timeout": max(int(config.shutdown_timeout), 1),
        "log-level": LOG_LEVELS.get(config.log_level, config.log_level),
    }
    if config.unix_socket:
        settings["umask"] = oct(0o777 & ~int(config.unix_socket_mode, 8))
    if config.pid_file:
        settings["pid"] = config.pid_file
    if config.ssl:
        settings |= {"certfile": config.ssl_cert, "keyfile": config.ssl_key}
    flags = [f"--{name}={value}" for name, value in settings.items()]
    return [sys.executable, "-m", "gunicorn", *flags, "--no-control-socket", f"gentrifugo:create_app({path!r})"]


def environment(given: Given, environ: Mapping[str, str]) -> dict[str, str]:
    """What the flags have said, as the workers read it: from the environment, which has the same names."""
    flags = {f"{ENVIRONMENT_PREFIX}{name.upper()}": str(value) for name, value in given.flags.items()}
    # The workers are one process each.
    return {**environ, **flags, f"{ENVIRONMENT_PREFIX}WORKERS": "1"}


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address or "0.0.0.0"
