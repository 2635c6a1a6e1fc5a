"""The pages of an endpoint outside of sessions: the greeting, its features (`/info`), and the page for iframes."""

from __future__ import annotations

import functools
import hashlib
import html
import json
import re
import secrets
from collections.abc import Mapping

from ..http.response import HTTPResponse
from .options import SockJSOptions
from .responses import HTML, JSON_UTF8, NOT_CACHED, PLAIN, cache_headers, cors

IFRAME = re.compile(r"/iframe[-0-9.a-z_]*\.html", re.ASCII)

_PAGE = """<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script {source}></script>
  <script>
    document.domain = document.domain;
    SockJS.bootstrap_iframe();
  </script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>
</body>
</html>
"""
"""The page that the protocol defines, with the hash of the script. Transports that need the server's origin use it."""


def greeting() -> HTTPResponse:
    """Return the text that a browser shows for the URL of the endpoint."""
    return HTTPResponse(200, {"Content-Type": PLAIN}, b"Welcome to SockJS!\n")


def info(headers: Mapping[str, str], websocket: bool, cookie: bool) -> HTTPResponse:
    """Return the features of the endpoint, and entropy for the client's random numbers."""
    facts = {
        "websocket": websocket,
        "origins": ["*:*"],
        "cookie_needed": cookie,
        "entropy": secrets.randbits(32),
    }
    return HTTPResponse(200, {"Content-Type": JSON_UTF8, **NOT_CACHED, **cors(headers)}, json.dumps(facts).encode())


def iframe(headers: Mapping[str, str], options: SockJSOptions) -> HTTPResponse:
    """Return the page for iframes, or status 304 for a browser that has it already."""
    page, tag = _iframe(options.sockjs_url, options.sockjs_integrity, options.iframe_ancestors)
    facts = {"ETag": tag, **({"Cache-Control": "no-cache"} if options.iframe_may_change else cache_headers())}
    if options.iframe_ancestors:
        facts["Content-Security-Policy"] = f"frame-ancestors {options.iframe_ancestors}"
    known = [known.strip().removeprefix("W/") for known in headers.get("if-none-match", "").split(",")]
    if tag in known or "*" in known:
        return HTTPResponse(304, facts)
    return HTTPResponse(200, {"Content-Type": HTML, **facts}, page)


@functools.lru_cache(maxsize=8)
def _iframe(url: str, integrity: str, ancestors: str) -> tuple[bytes, str]:
    """Return the page and its ETag, which also changes with the pages that may contain it."""
    source = f'src="{html.escape(url)}"'
    if integrity:
        source += f' integrity="{html.escape(integrity)}" crossorigin="anonymous"'
    page = _PAGE.format(source=source).encode()
    return page, f'"{hashlib.sha256(page + ancestors.encode()).hexdigest()[:32]}"'
