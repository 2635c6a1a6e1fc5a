"""The URL of the server in the browser: behind a proxy, only headers of the request contain it.

All code that needs an external URL uses this module, so that option trusted_proxies applies everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from .client_address import TrustedProxies
from .origins import DEFAULT_PORTS

PEER = "gentrifugo.peer"
"""The key in a WSGI environ with the address of the socket's peer; REMOTE_ADDR is the address of the client."""
_PROXY_FIX = "werkzeug.proxy_fix.orig"
"""The key with the original values that Werkzeug's ProxyFix has replaced in an environ."""
_FORWARDED_HEADERS = ("x-forwarded-proto", "x-forwarded-host", "x-forwarded-prefix")
_HOST = re.compile(r"[0-9A-Za-z._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
_PREFIX = re.compile(r"(/[0-9A-Za-z._~!$&'()*+,;=:@%-]+)+")


class Forwarded(NamedTuple):
    """Scheme, host and prefix that trusted proxies report for the browser's URL; empty if they report nothing."""

    scheme: str = ""
    host: str = ""
    prefix: str = ""


NOT_FORWARDED = Forwarded()


def forwarded_address(peer: str, headers: Mapping[str, str], proxies: TrustedProxies) -> Forwarded:
    """Return X-Forwarded-Proto, -Host and -Prefix of a request, if its `peer` is a trusted proxy.

    The last of several values counts, which the nearest proxy has set. Invalid values are ignored.
    Header names are in lower case; `peer` is the socket's address, empty for a Unix socket.
    """
    if not any(map(headers.get, _FORWARDED_HEADERS)):
        return NOT_FORWARDED
    if not proxies.trusts(peer):
        proxies.note_ignored(next(name for name in _FORWARDED_HEADERS if headers.get(name)).title(), peer)
        return NOT_FORWARDED
    scheme = _last(headers.get("x-forwarded-proto", "")).lower()
    host = _last(headers.get("x-forwarded-host", ""))
    prefix = _last(headers.get("x-forwarded-prefix", "")).rstrip("/")
    return Forwarded(
        scheme if scheme in DEFAULT_PORTS else "",
        host if _HOST.fullmatch(host) else "",
        prefix if _PREFIX.fullmatch(prefix) else "",
    )


def _last(value: str) -> str:
    return value.rpartition(",")[2].strip()


def outer_root(environ: Mapping[str, Any], proxies: TrustedProxies) -> str:
    """Return the URL of an application in the browser that sent a WSGI request, without a slash at the end.

    It contains the path at which the application is mounted (SCRIPT_NAME), and the prefix of a proxy. Values that
    Werkzeug's ProxyFix has already taken from headers are used unchanged.
    """
    fixed: Mapping[str, Any] = environ.get(_PROXY_FIX) or {}
    inner = {**environ, **fixed}
    headers = {name: environ.get(f"HTTP_{name.upper().replace('-', '_')}", "") for name in _FORWARDED_HEADERS}
    peer = peer_of(environ)
    is_fixed_only = bool(fixed) and not proxies.trusts(peer)  # nothing is ignored then: ProxyFix has used the headers
    said = NOT_FORWARDED if is_fixed_only else forwarded_address(peer, headers, proxies)
    scheme = _set_by_proxy_fix("wsgi.url_scheme", environ, inner) or said.scheme or environ["wsgi.url_scheme"]
    host = _set_by_proxy_fix("HTTP_HOST", environ, inner) or said.host or _host(environ, scheme)
    mounted = environ.get("SCRIPT_NAME", "").rstrip("/")
    has_prefix = bool(fixed) and f"{mounted}/".startswith(f"{said.prefix}/")
    return f"{scheme}://{host}{'' if has_prefix else said.prefix}{mounted}"


def peer_of(environ: Mapping[str, Any]) -> str:
    """Return the address of the socket's peer in a WSGI environ; empty for a Unix socket."""
    fixed: Mapping[str, Any] = environ.get(_PROXY_FIX) or {}
    return str(environ.get(PEER, fixed.get("REMOTE_ADDR", environ.get("REMOTE_ADDR")) or ""))


def client_of(environ: Mapping[str, Any], headers: Mapping[str, str], proxies: TrustedProxies) -> str:
    """Return the address of the client in a WSGI environ; empty for a Unix socket. Header names are in lower case.

    REMOTE_ADDR is used unchanged if our own HTTP connection or ProxyFix has already evaluated the headers.
    """
    address = str(environ.get("REMOTE_ADDR") or "")
    is_evaluated = PEER in environ or address != peer_of(environ)
    return address if is_evaluated else proxies.address(address, headers)


def _set_by_proxy_fix(key: str, environ: Mapping[str, Any], inner: Mapping[str, Any]) -> str:
    """Return a value that ProxyFix has set; empty if it has changed nothing."""
    return str(environ[key]) if environ.get(key) and environ[key] != inner.get(key) else ""


def _host(environ: Mapping[str, Any], scheme: str) -> str:
    host = environ.get("HTTP_HOST")
    if host:
        return str(host)
    port = str(environ.get("SERVER_PORT", ""))
    usual = str(DEFAULT_PORTS[scheme])
    return str(environ["SERVER_NAME"]) + (f":{port}" if port and port != usual else "")
