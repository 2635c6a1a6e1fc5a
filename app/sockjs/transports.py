"""The HTTP transports of SockJS: how each of them encodes a frame in a response. A frame contains no line ends."""

from __future__ import annotations

import re
from typing import Protocol

import msgspec

from .responses import HTML, JAVASCRIPT

CALLBACK = re.compile(r"[-a-zA-Z0-9_.]+", re.ASCII)

_HTMLFILE_HEAD = """<!doctype html>
<html><head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
</head><body><h2>Don't panic!</h2>
  <script>
    document.domain = document.domain;
    var c = parent.{callback};
    c.start();
    function p(d) {{c.message(d);}};
    window.onload = function() {{c.stop();}};
  </script>"""
"""The exact text that the protocol defines."""
HTMLFILE_SIZE = 1025
"""Bytes that browsers need before they begin to process a page."""


class HTTPTransport(Protocol):
    """One transport. `prelude` is the beginning of a stream; empty if each response has one frame."""

    content_type: str
    prelude: bytes

    def wrap(self, frame: bytes) -> bytes:
        """Encode a frame for the response."""
        ...


class XHRPolling:
    """XHR polling: each response has one line."""

    content_type = JAVASCRIPT
    prelude = b""

    def wrap(self, frame: bytes) -> bytes:
        """Encode a frame as one line."""
        return frame + b"\n"


class XHRStreaming(XHRPolling):
    """XHR streaming: a frame on each line, after a long first line for browsers that buffer the beginning."""

    prelude = b"h" * 2048 + b"\n"


class EventSource:
    """Server-sent events. The client decodes percent signs in them."""

    content_type = "text/event-stream"
    prelude = b"\r\n"

    def wrap(self, frame: bytes) -> bytes:
        """Encode a frame as a Server-Sent Event."""
        return b"data: " + frame.replace(b"%", b"%25") + b"\r\n\r\n"


class HtmlFile:
    """An HTML page that is extended with a script for each frame. `callback` must have been checked."""

    content_type = HTML

    def __init__(self, callback: str) -> None:
        self.prelude = _HTMLFILE_HEAD.format(callback=callback).encode().ljust(HTMLFILE_SIZE) + b"\r\n\r\n"

    def wrap(self, frame: bytes) -> bytes:
        """Encode a frame as a script element that calls the callback."""
        return b"<script>\np(" + quoted_for_script(frame) + b");\n</script>\r\n"


class JSONPPolling:
    """JSONP polling: each response is a script. `callback` must have been checked."""

    content_type = JAVASCRIPT
    prelude = b""

    def __init__(self, callback: str) -> None:
        self._callback = callback.encode()

    def wrap(self, frame: bytes) -> bytes:
        """Encode a frame as a script that calls the callback."""
        # With the comment, the response does not begin with text chosen by a page, which plugins might interpret.
        return b"/**/" + self._callback + b"(" + quoted_for_script(frame) + b");\r\n"


def quoted_for_script(frame: bytes) -> bytes:
    """Encode a frame as a string of JavaScript that cannot end the script element around it."""
    return msgspec.json.encode(frame.decode()).replace(b"<", b"\\u003c")
