"""Limits of size and time for the body of a request that a view reads, under any web server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flask import request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from ..http.body import too_large_error, too_slow_error
from ..http.response import CLOSE_CONNECTION
from ..http.wsgi_body import TimedBody


@contextmanager
def limited_body(max_size: int, seconds: float) -> Iterator[None]:
    """Limit the body of the current request in a `with` block.

    The body may have `max_size` bytes, and take `seconds` plus the time for its size (net/read_allowance.py). The block
    raises HTTPError with status 413 or 408 if the body exceeds a limit.
    """
    # An application has limits of its own, which are not for this.
    request.max_content_length = request.max_form_memory_size = max_size
    if "gentrifugo.handler" not in request.environ:  # that limits the time itself
        request.environ["wsgi.input"] = TimedBody(request.environ["wsgi.input"], seconds)
    try:
        yield
    except RequestEntityTooLarge:
        raise too_large_error(max_size) from None
    except ClientDisconnected as error:  # Werkzeug raises this for all errors while reading
        if isinstance(error.__context__, TimeoutError):
            raise too_slow_error(CLOSE_CONNECTION) from None
        raise
