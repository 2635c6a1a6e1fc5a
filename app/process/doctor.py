"""`gentrifugo doctor`: checks configuration, system limits, ports, files, certificates and Redis, and reports problems.

The checks block. They run in a process that gevent has not patched.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from ..config.config import Config
from ..config.endpoints import own_ports
from ..config.loading import LoadedConfig
from ..config.options import ConfigError
from ..config.redis_options import redis_settings
from ..net import bulk_send
from ..runtime import limits
from ..tls.context import server_context
from .finding import OK, PROBLEM, WARNING, Finding
from .redis_checks import examine_redis

ACME_TIMEOUT = 5.0
"""Maximum seconds until an ACME server answers."""


def examine(loaded: LoadedConfig) -> Iterator[Finding]:
    """Run all checks and yield their findings. Checks that connect to other machines can take seconds."""
    config = loaded.config
    yield Finding(OK, f"configuration: {loaded.path or loaded.origin}")
    yield from (Finding(WARNING, text) for text in (*loaded.warnings, *loaded.notes))
    yield from (Finding(OK if limit.is_enough else WARNING, limit.text, limit.remedy) for limit in limits.all_limits())
    yield _speedups()
    yield from _ports(config)
    yield from _files(config)
    yield from _certificates(config)
    if config.engine == "redis":
        settings, _ = redis_settings(config)  # its problems were already reported when the configuration was loaded
        if settings is not None:
            yield from examine_redis(settings)


def summary_line(problems: int, warnings: int) -> str:
    """Return the last line of the report, with the numbers of problems and warnings."""
    found = f"doctor: {problems or 'no'} problem{'' if problems == 1 else 's'}"
    return f"{found}, {warnings} warning{'' if warnings == 1 else 's'}" if warnings else f"{found} found"


def invalid_configuration_line(problems: int, warnings: int) -> str:
    """Return the last line of the report if the configuration is invalid, so that nothing else could be checked."""
    found = summary_line(problems, warnings)
    return f"{found}; correct the configuration and run the doctor again, which then checks machine and Redis too"


# -- this machine


def _speedups() -> Finding:
    remedy = "install a C compiler and the header files of Python, and install Gentrifugo again"
    is_missing = bulk_send.compiled_send_waiting is None
    return Finding(OK, bulk_send.describe_speedups(), f"to use less CPU time, {remedy}" if is_missing else "")


def _ports(config: Config) -> Iterator[Finding]:
    main = {} if config.unix_socket else {"port": config.port}
    ports = main | {f"{endpoints}_port": port for endpoints, port in own_ports(config).items()}
    for name, number in ports.items():
        if number:  # 0 picks a free one
            yield _check_port(name, config.address, number)
    host, _, port = config.ssl_autocert_http_addr.rpartition(":")
    if config.ssl_autocert and config.ssl_autocert_http and port.isdecimal():
        yield _check_port("ssl_autocert_http_addr", host.strip("[]"), int(port))


def _check_port(name: str, address: str, number: int) -> Finding:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    where = f"{name} {number}"
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, number))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return Finding(
                    WARNING,
                    f"{where}: in use",
                    f"expected while the server runs, otherwise choose another with option {name}",
                )
            if error.errno == errno.EACCES:
                remedy = "choose a port above 1023, or grant CAP_NET_BIND_SERVICE with setcap or systemd"
                return Finding(PROBLEM, f"{where}: permission denied, only root can use this port", remedy)
            return Finding(PROBLEM, f"{where}: {error.strerror}", "choose another with option address")
    return Finding(OK, f"{where}: free")


def _files(config: Config) -> Iterator[Finding]:
    named = ("log_file", config.log_file), ("pid_file", config.pid_file), ("unix_socket", config.unix_socket)
    for name, text in named:
        if text:
            path = Path(text)
            place = path if path.is_file() else path.parent  # a socket is created again in its directory
            if os.access(place, os.W_OK):
                yield Finding(OK, f"{name}: {text} is writable")
            else:
                remedy = f"allow this user to write to {place}" if place.exists() else f"create the directory {place}"
                yield Finding(PROBLEM, f"{name}: {text} is not writable", remedy)


def _certificates(config: Config) -> Iterator[Finding]:
    if config.ssl:
        yield from _own_certificate(config)
    elif config.ssl_autocert:
        yield _acme_server(config)
        if config.ssl_autocert_cache_dir:
            for file in sorted(Path(config.ssl_autocert_cache_dir).glob("*.pem")):
                remedy = "the running server renews it automatically; check its log for errors"
                yield _certificate("ssl_autocert_cache_dir", file, remedy)


def _acme_server(config: Config) -> Finding:
    try:
        import requests  # comes with what ssl_autocert needs
    except ImportError:
        return Finding(
            PROBLEM, "ssl_autocert: the acme library is not installed", "pip install '/path/to/the/clone[autocert]'"
        )
    url = config.ssl_autocert_directory
    try:
        requests.get(url, timeout=ACME_TIMEOUT).raise_for_status()
    except requests.RequestException as error:
        return Finding(
            PROBLEM, f"ssl_autocert_directory: {url} is not reachable: {error}", "check network and firewall"
        )
    return Finding(OK, f"ssl_autocert_directory: {url} is reachable")


def _own_certificate(config: Config) -> Iterator[Finding]:
    try:
        server_context(config)
    except ConfigError as error:
        yield from (Finding(PROBLEM, problem) for problem in error.problems)
    else:
        yield _certificate("ssl_cert", Path(config.ssl_cert), "renew it, then reload with SIGHUP")


def _certificate(option: str, path: Path, remedy: str) -> Finding:
    try:
        from ..tls import certificate_dates
    except ImportError:
        return Finding(WARNING, f"{option}: expiry date not checked", "pip install '/path/to/the/clone[autocert]'")
    try:
        days = certificate_dates.time_left(path).days
    except (OSError, ValueError) as error:
        return Finding(
            PROBLEM, f"{option}: {path} cannot be read: {error}", "set it to a file with a certificate in PEM"
        )
    if days < 0:
        return Finding(PROBLEM, f"{option}: {path} has expired", remedy)
    state = WARNING if days < certificate_dates.EXPIRY_WARNING_TIME.days else OK
    return Finding(state, f"{option}: {path} is valid for {days} more days", remedy if state is WARNING else "")
