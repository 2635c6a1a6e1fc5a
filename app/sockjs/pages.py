"""What an endpoint shows apart from sessions: the greeting, what it can do, and the page for iframes."""

from __future__ import annotations

import functools
import hashlib
import html
import json
import re
import secrets
from collections.abc import Mapping

from ..http.response import HTTPResponse
from .responses import HTML, JSON_UTF8, NOT_CACHED, PLAIN, cached, cors

IFRAME = re.compile(r"/iframe[-0-9.a-z_]*\.html", re.ASCII)

_PAGE = """<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script src="{url}"></script>
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
"""Word for word the protocol's; transports that need the server's own origin run in it."""


def greeting() -> HTTPResponse:
    """What somebody sees who opens the endpoint in a browser."""
    return HTTPResponse(200, {"Content-Type": PLAIN}, b"Welcome to SockJS!\n")


def info(headers: Mapping[str, str], websocket: bool, cookie: bool) -> HTTPResponse:
    """What the endpoint can do, and some luck for the client's random numbers."""
    facts = {
        "websocket": websocket,
        "origins": ["*:*"],
        "cookie_needed": cookie,
        "entropy": secrets.randbits(32),
    }
    return HTTPResponse(200, {"Content-Type": JSON_UTF8, **NOT_CACHED, **cors(headers)}, json.dumps(facts).encode())


def iframe(headers: Mapping[str, str], sockjs_url: str) -> HTTPResponse:
    """The page for iframes; it stays the same, so that it need not be sent twice."""
    page, tag = _iframe(sockjs_url)
    facts = {"ETag": tag, **cached()}
    known = [known.strip().removeprefix("W/") for known in headers.get("if-none-match", "").split(",")]
    if tag in known or "*" in known:
        return HTTPResponse(304, facts)
    return HTTPResponse(200, {"Content-Type": HTML, **facts}, page)


@functools.lru_cache(maxsize=8)
def _iframe(sockjs_url: str) -> tuple[bytes, str]:
    page = _PAGE.format(url=html.escape(sockjs_url)).encode()
    return page, f'"{hashlib.sha256(page).hexdigest()[:32]}"'
