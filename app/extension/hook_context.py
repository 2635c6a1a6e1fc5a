"""Calls a hook in its Flask application, with the contexts of a view. Hooks can refuse in the same ways as views."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from ..node.hooks import Context, Hook, Refuse

FORBIDDEN = (401, 403)
"""The statuses with which a hook refuses a request. Other error statuses count as a failure of the hook."""


def call(app: Flask, hook: Hook, context: Context) -> object:
    """Call a hook of an application and return its answer. Raises Refuse, and any other error of the hook.

    The hook may refuse in the same ways as a view: with `abort(403)`, or by returning a response.
    """
    with _within(app, context):
        try:
            answer = hook(context)
        except HTTPException as error:
            if error.response is None and error.code not in FORBIDDEN:
                raise
            is_own_reason = error.description != type(error).description
            raise Refuse(error.description if is_own_reason else "") from None
    if _is_response(answer):
        raise Refuse
    return answer


def _is_response(answer: object) -> bool:
    """Return whether the answer of a hook is a response, for example of a decorator that has not called the hook.

    Flask-Login's decorator, for example, redirects to a login page. To accept such an answer would allow everything.
    """
    has_status = isinstance(answer, tuple) and len(answer) > 1 and isinstance(answer[1], int)
    return has_status or isinstance(answer, Response)


@contextmanager
def _within(app: Flask, context: Context) -> Iterator[None]:
    """Enter the application's context and, if there is one, the request that opened the connection."""
    if context.request is not None:  # a view calls the hook, so both are there
        yield
    elif context.opening is None:
        with app.app_context():
            yield
    else:
        # Both contexts are entered, because other servers keep a connection in the request that opened it. A request
        # context alone would share the application context of that request, and data that hooks store in it would stay
        # until the client disconnects.
        with app.app_context(), app.request_context(context.opening.environ()) as pushed:
            context.request = pushed.request
            try:
                yield
            finally:
                context.request = None
