"""The protocol of Centrifugo v1, with its HTTP API."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.credentials import sign, sign_bytes
from benchmarks.protocols.base import APIRequest, Protocol, Published, other_push, reply_error


class V1(Protocol):
    """JSON with methods and uids; tokens and API requests are signed with the option `secret`."""

    name = "v1"

    def connect(self, user: str, secret: str) -> bytes:
        """Encode the first command of a client, with its token."""
        timestamp = str(int(time.time()))
        return _command("connect", user=user, timestamp=timestamp, token=sign(secret, user, timestamp))

    def subscribe(self, channel: str) -> bytes:
        """Encode the command that subscribes to a channel."""
        return _command("subscribe", channel=channel)

    def is_reply(self, payload: bytes, method: str) -> bool:
        """Return whether a frame contains the reply to `method`. Raises BenchmarkError if the reply is an error."""
        reply = json.loads(payload)
        if reply.get("uid") != method:
            return False
        if "error" in reply:
            raise reply_error(method, reply["error"])
        return True

    def publications(self, payload: bytes) -> Iterable[Published]:
        """Return the publications in a frame. Raises BenchmarkError for anything else."""
        pushes = json.loads(payload.decode())  # of bytes, json would first guess the encoding
        return [_publication(push) for push in (pushes if isinstance(pushes, list) else [pushes])]

    def command(self, channel: str) -> str:
        """Return a publish command, in which `%s` stands for the data."""
        name = json.dumps(channel).replace("%", "%%")
        return '{"method":"publish","params":{"channel":' + name + ',"data":%s}}'

    def request(self, commands: Sequence[str], secret: str, api_key: str) -> APIRequest:
        """Return a request with these commands and its credentials."""
        body = (commands[0] if len(commands) == 1 else f"[{','.join(commands)}]").encode()
        return APIRequest("/api/", f"X-API-Sign: {sign_bytes(secret, body)}", body)

    def errors(self, body: bytes, count: int) -> list[Any]:
        """Return the errors in the response to `count` commands. Raises ValueError or LookupError for other bodies."""
        replies = json.loads(body)
        if len(replies) != count:
            raise ValueError(f"{len(replies)} replies")
        return [reply["error"] for reply in replies if reply.get("error")]


def _command(method: str, **params: str) -> bytes:
    return json.dumps({"uid": method, "method": method, "params": params}).encode()


def _publication(push: Any) -> Published:
    if push.get("method") != "message":
        raise other_push(push.get("method"))
    return Published(push["body"]["channel"], push["body"]["data"])
