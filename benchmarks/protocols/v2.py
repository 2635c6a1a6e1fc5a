"""Protocol version 2 in JSON, with the HTTP API of Centrifugo v4 and later."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.credentials import jwt
from benchmarks.protocols.base import APIRequest, Protocol, Published, other_push, reply_error

IDS = {"connect": 1, "subscribe": 2}
"""The ids of a client's commands."""
TOKEN_LIFETIME = 3600
"""Seconds."""


class V2(Protocol):
    """JSON commands with ids, one per line.

    Clients have a token signed with the option `token_hmac_secret_key`, backends the option `api_key`. Channels must
    have `allow_subscribe_for_client`.
    """

    name = "v2"
    ping: bytes | None = b"{}"

    def connect(self, user: str, secret: str) -> bytes:
        """Encode the first command of a client, with its token."""
        return _command("connect", token=token(user, secret))

    def subscribe(self, channel: str) -> bytes:
        """Encode the command that subscribes to a channel."""
        return _command("subscribe", channel=channel)

    def is_reply(self, payload: bytes, method: str) -> bool:
        """Return whether a frame contains the reply to `method`. Raises BenchmarkError if the reply is an error."""
        for line in payload.splitlines():
            reply = json.loads(line)
            if reply.get("id") == IDS[method]:
                if "error" in reply:
                    raise reply_error(method, reply["error"])
                return True
        return False

    def publications(self, payload: bytes) -> Iterable[Published]:
        """Return the publications in a frame. Raises BenchmarkError for anything else."""
        return [_publication(json.loads(line)) for line in payload.decode().splitlines() if line != "{}"]

    def command(self, channel: str) -> str:
        """Return a publish command, in which `%s` stands for the data."""
        name = json.dumps(channel).replace("%", "%%")
        return '{"channel":' + name + ',"data":%s}'

    def request(self, commands: Sequence[str], secret: str, api_key: str) -> APIRequest:
        """Return a request with these commands and its credentials."""
        credential = f"X-API-Key: {api_key}"
        if len(commands) == 1:
            return APIRequest("/api/publish", credential, commands[0].encode())
        publishes = ",".join(f'{{"publish":{command}}}' for command in commands)
        return APIRequest("/api/batch", credential, f'{{"commands":[{publishes}]}}'.encode())

    def errors(self, body: bytes, count: int) -> list[Any]:
        """Return the errors in the response to `count` commands. Raises ValueError or LookupError for other bodies."""
        response = json.loads(body)
        if count == 1:
            if not response.keys() & {"result", "error"}:
                raise ValueError("neither result nor error")
            return [response["error"]] if "error" in response else []
        replies = response["replies"]
        if len(replies) != count:
            raise ValueError(f"{len(replies)} replies")
        return [reply["error"] for reply in replies if "error" in reply]


def token(user: str, secret: str) -> str:
    """Return the token of a client."""
    return jwt(secret, {"sub": user, "exp": int(time.time()) + TOKEN_LIFETIME})


def _command(method: str, **params: str) -> bytes:
    return json.dumps({"id": IDS[method], method: params}).encode()


def _publication(reply: Any) -> Published:
    push = reply.get("push", reply)
    if "pub" not in push:
        raise other_push(next((name for name in push if name != "channel"), reply))
    return Published(push["channel"], push["pub"]["data"])
