"""Excludes requests from schemathesis: JSON Schema counts 4.0 as an integer; the server, like Centrifugo, does not."""

from __future__ import annotations

from typing import Any

import schemathesis


def has_whole_float(value: Any) -> bool:
    """Return whether there is a number such as 4.0 anywhere in a JSON value."""
    if isinstance(value, dict):
        return any(map(has_whole_float, value.values()))
    if isinstance(value, list):
        return any(map(has_whole_float, value))
    return isinstance(value, float) and value.is_integer()


@schemathesis.hook
def filter_body(context: Any, body: Any) -> bool:
    """Return whether to send a request with this body."""
    return not has_whole_float(body)
