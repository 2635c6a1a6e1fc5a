"""MethodCalls of the API in the test's own process."""

from __future__ import annotations

import json
from typing import Any

from gentrifugo.app.api.calls import MethodCalls
from gentrifugo.app.config.channel_options import Namespace
from gentrifugo.app.protocol.v2.errors import CodedError

KEPT = Namespace(name="kept", presence=True, history_size=10, history_lifetime=60)
"""A namespace with presence and history."""


def call(calls: MethodCalls, method: str, **params: Any) -> Any:
    """Carry out a method; its result, or its error as code and text."""
    reply = calls.by_name[method](json.dumps(params).encode())
    if isinstance(reply, CodedError):
        return reply.code, reply.message
    document = json.loads(reply)
    return document if method == "batch" else document["result"]
