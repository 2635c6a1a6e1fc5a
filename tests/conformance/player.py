"""Plays a recorded conversation against a server and compares every answer.

A conversation is a JSON file with `about`, `steps` and, where it needs a server of its own, `options` that are added to
those in server.json. Each step does one thing and says what must come of it:

    {"connect": "a"}                    open a connection, called `a`, and log in as user `a`; also `user`, `info`
    {"open": "a"}                       open a connection without logging in
    {"send": X, "as": "a"}              `a` sends X: an object or array as JSON, a text as it is
    {"read": "a"}                       nothing is sent; `a` must have received only the frames in `expect`
    {"drop": "a"}                       `a` disconnects without a close frame
    {"api": X}                          the backend posts X; also `auth` (good, bad, none) and `as` (json, form,
                                        multipart), or a `content_type`
    {"wait": 1.5}                       seconds pass

`expect` lists the frames that must come, in this order and no others; an array stands for one frame with an array.
With `"any_order": true` their order is free, and with `"several_channels": true` if the API is that of another node. At
the end nothing more may have come to any connection.

`closed` is the reason that the connection must then be closed with, code 3000 and the advice not to reconnect, or an
object with all the allowed `code`s and the `reason` that goes with 3000.

For the API `expect` is the answer's body and `status` its status, 200 if left out.

Texts may hold names in angle brackets, in what is sent and in what is expected:

    <run>                   a text of this run, to keep channels and users apart
    <client a>              the client id of `a`
    <uid 1>                 whatever stood here first; everywhere else it must be the same, and differ from <uid 2>
    <now> <old>             timestamps: of this moment, and of long ago
    <token user|info|old>   a connect token; info and old (with the timestamp <old>) may be left out
    <sign a|channel|info>   the sign of a private channel for the connection `a`; info may be left out
    <filler 100>            that many letters
    <any> <nothing>         only expected: any value; null or an empty array
"""

from __future__ import annotations

import itertools
import json
import re
import time
import uuid
from pathlib import Path
from typing import Any

from tests.api_client import JSON_TYPE, APIClient
from tests.credentials import connect_params, sign
from tests.waiting import seconds
from tests.websocket_client import QUIET, Closed, WebSocketClient

CONVERSATIONS = Path(__file__).parent / "conversations"
SERVER_OPTIONS = Path(__file__).parent / "server.json"

CLOSE_CODE = 3000
LONG_AGO = 100_000
"""How many seconds <old> is back: longer than any connection lifetime in the files."""

ACTIONS = ("connect", "open", "send", "text", "read", "drop", "api", "wait")

_NAME = re.compile(r"<(run|now|old|client|uid|epoch|token|sign|filler)(?: ([^>]*))?>")


class Player:
    """One run of one conversation; the API may be that of another node."""

    def __init__(self, host: str, port: int, api_port: int = 0) -> None:
        self.host = host
        self.port = port
        self.api = APIClient(host, api_port or port)
        self.api_is_elsewhere = api_port not in (0, port)
        self.sockets: dict[str, WebSocketClient] = {}
        self.names = {"run": uuid.uuid4().hex[:8]}
        self.now = int(time.time())

    def play(self, steps: list[dict[str, Any]]) -> None:
        """Play all steps; an AssertionError names the step that failed."""
        try:
            for number, step in enumerate(steps, 1):
                try:
                    self._play_step(step)
                except (AssertionError, TimeoutError, Closed) as error:
                    raise AssertionError(f"step {number}, {json.dumps(step)}:\n{error}") from None
            self._check_silence()
        finally:
            for socket in self.sockets.values():
                socket.drop()

    def _play_step(self, step: dict[str, Any]) -> None:
        for action in ACTIONS:
            if action in step:
                getattr(self, f"_{action}")(step)
                return
        raise ValueError(f"a step without an action: {step}")

    # -- the actions

    def _open(self, step: dict[str, Any]) -> None:
        self.sockets[step["open"]] = WebSocketClient.connect(self.host, self.port)

    def _connect(self, step: dict[str, Any]) -> None:
        name = step["connect"]
        self._open({"open": name})
        params = connect_params(self._fill(step.get("user", name)), self._fill(step.get("info", "")))
        self.sockets[name].send_json({"uid": "connect", "method": "connect", "params": params})
        body = {"version": "<any>", "client": f"<client {name}>", "expires": False, "expired": False, "ttl": 0}
        self._check_frames(name, {"expect": [{"uid": "connect", "method": "connect", "body": body}]})

    def _send(self, step: dict[str, Any]) -> None:
        value = self._fill(step["send"])
        self.sockets[step["as"]].send_text(value if isinstance(value, str) else json.dumps(value))
        self._check_frames(step["as"], step)

    def _read(self, step: dict[str, Any]) -> None:
        self._check_frames(step["read"], step)
        if "expect" not in step and "closed" not in step:
            self.sockets[step["read"]].assert_quiet()

    def _drop(self, step: dict[str, Any]) -> None:
        self.sockets.pop(step["drop"]).drop()
        time.sleep(seconds(QUIET))

    def _wait(self, step: dict[str, Any]) -> None:
        time.sleep(step["wait"])

    def _api(self, step: dict[str, Any]) -> None:
        value = self._fill(step["api"])
        body = value if isinstance(value, str) else json.dumps(value)
        signature = {"good": "right", "bad": "0" * 64, "none": None}[step.get("auth", "good")]
        if step.get("as") == "form":
            answer = self.api.post_form(body, signature)
        elif step.get("as") == "multipart":
            answer = self.api.post_multipart(body, signature)
        else:
            answer = self.api.post(body, content_type=step.get("content_type", JSON_TYPE), signature=signature)
        assert answer.status == step.get("status", 200), answer
        if "expect" in step:
            self._match(step["expect"], answer.json(), "answer")

    # -- what came

    def _check_silence(self) -> None:
        """Check that no connection receives more messages at the end. One wait is sufficient for all connections."""
        duration = QUIET
        for name, socket in self.sockets.items():
            if socket.closed is None:
                try:
                    socket.assert_quiet(duration)
                except (AssertionError, Closed) as error:
                    raise AssertionError(f"at the end, on {name}: {error}") from None
                duration = 0

    def _check_frames(self, name: str, step: dict[str, Any]) -> None:
        """Check the frames of the step, then its close. An additional frame is detected by the next read."""
        socket = self.sockets[name]
        expected = step.get("expect", [])
        frames = [socket.recv_json() for _ in expected]
        # Another node does not wait until the messages in the channels of one shard have arrived here.
        if step.get("any_order") or (step.get("several_channels") and self.api_is_elsewhere):
            self._match_any_order(expected, frames)
        else:
            self._match(expected, frames, "frames")
        if "closed" in step:
            self._check_close(step["closed"], socket.wait_closed())

    def _check_close(self, expected: Any, closed: Closed) -> None:
        if isinstance(expected, str):
            expected = {"code": [CLOSE_CODE], "reason": {"reason": expected, "reconnect": False}}
        assert closed.code in expected["code"], closed
        if closed.code == CLOSE_CODE:
            assert closed.advice == expected["reason"], closed

    def _match_any_order(self, expected: list[Any], frames: list[Any]) -> None:
        names = dict(self.names)
        for order in itertools.permutations(frames):
            self.names = dict(names)
            try:
                self._match(expected, list(order), "frames")
            except AssertionError:
                continue
            return
        raise AssertionError(f"expected in any order: {json.dumps(expected)}\ngot: {json.dumps(frames)}")

    def _match(self, expected: Any, actual: Any, where: str) -> None:
        """Compare values exactly, and store values of names that appear in `expected` for the first time."""
        if isinstance(expected, dict) and isinstance(actual, dict):
            wanted = {self._fill(key): value for key, value in expected.items()}
            assert wanted.keys() == actual.keys(), f"{where}: fields {sorted(actual)} instead of {sorted(wanted)}"
            for key, value in wanted.items():
                self._match(value, actual[key], f"{where}.{key}")
        elif isinstance(expected, list) and isinstance(actual, list):
            assert len(expected) == len(actual), f"{where}: {len(actual)} instead of {len(expected)}: {actual}"
            for index, (one, other) in enumerate(zip(expected, actual, strict=True)):
                self._match(one, other, f"{where}[{index}]")
        elif expected == "<nothing>":
            assert actual in (None, []), f"{where}: expected null or [], got {actual!r}"
        elif expected != "<any>":
            self._learn(expected, actual)
            known = expected if isinstance(expected, dict | list) else self._fill(expected)
            # True equals 1 in Python, but not in JSON.
            same = known == actual and type(known) is type(actual)
            assert same, f"{where}: expected {known!r}, got {actual!r}"

    def _learn(self, expected: Any, actual: Any) -> None:
        """Store the received value for a name that is the whole text and not known yet."""
        if not (isinstance(expected, str) and isinstance(actual, str)):
            return
        name = expected[1:-1]
        if re.fullmatch(r"<(client \w+|uid \d+|epoch \d+)>", expected) and name not in self.names:
            assert actual, f"{expected} is empty"
            assert actual not in self.names.values(), f"{expected} repeats {actual!r}"
            self.names[name] = actual

    # -- names in angle brackets

    def _fill(self, value: Any) -> Any:
        if isinstance(value, str):
            return _NAME.sub(self._value_of, value)
        if isinstance(value, list):
            return [self._fill(one) for one in value]
        if isinstance(value, dict):
            return {self._fill(key): self._fill(one) for key, one in value.items()}
        return value

    def _value_of(self, match: re.Match[str]) -> str:
        kind, rest = match[1], match[2] or ""
        if kind in ("now", "old"):
            return str(self._timestamp(kind))
        if kind == "filler":
            return "x" * int(rest)
        if kind == "token":
            return self._token(*rest.split("|"))
        if kind == "sign":
            return self._channel_sign(*rest.split("|"))
        return self.names[match[0][1:-1]]

    def _timestamp(self, kind: str) -> int:
        return self.now - LONG_AGO if kind == "old" else self.now

    def _token(self, user: str, info: str = "", when: str = "now") -> str:
        return connect_params(user, info, self._timestamp(when))["token"]

    def _channel_sign(self, name: str, channel: str, info: str = "") -> str:
        return sign(self.names[f"client {name}"], channel, info)
