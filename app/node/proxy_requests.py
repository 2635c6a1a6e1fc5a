"""The requests and responses of Centrifugo's HTTP proxy: the fields that all of them share, and their payloads.

A field of a response that is null counts as missing, as many libraries write null for what is not set.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from ..http.opening_request import Opening
from ..model.json_codec import InvalidJSON, decode, is_json
from ..model.payload import json_or_base64
from .backend_http import BackendHTTP
from .hooks import Context, DisconnectClient, RPCError, Undelivered

T = TypeVar("T")

MAX_NAMED_FIELDS = 5
"""Maximum number of fields of a response that the log names, if none of them belongs to the proxy."""
MAX_NAMED_LENGTH = 50
"""Maximum characters of the name of such a field."""


class AnswerError(msgspec.Struct):
    """The error that the client receives instead of a result."""

    code: int | None = None
    message: str | None = None
    temporary: bool | None = None


class AnswerDisconnect(msgspec.Struct):
    """The code and the reason with which the connection of the client is closed."""

    code: int | None = None
    reason: str | None = None


class Answer(msgspec.Struct):
    """The body of a response, which has one of these fields."""

    result: Raw = Raw()
    error: AnswerError | None = None
    disconnect: AnswerDisconnect | None = None


_answer = msgspec.json.Decoder(Answer)
_fields = msgspec.json.Decoder(dict[str, Raw])


def ask(
    backend: BackendHTTP, request: dict[str, Any], opening: Opening | None, accepts_any_object: bool = False
) -> bytes:
    """Send a request without its empty fields. Returns the result in the response as JSON; empty if there is none.

    Raises RPCError or DisconnectClient if the backend answers with an error or a disconnect, and Undelivered without a
    valid response. An object with only other fields is not valid, because it would mean the same as an empty one; with
    `accepts_any_object` it has no result.
    """
    body = msgspec.json.encode({name: value for name, value in request.items() if value not in ("", [])})
    status, content = backend.post(body, opening, {})
    if content.lstrip()[:1] == b"<":
        raise Undelivered(f"the backend answered with status {status} and an HTML page, not with JSON")
    if status != 200:
        raise Undelivered(f"the backend answered with status {status}")
    try:
        answer = decode(_answer, content)
        if answer.error is not None:
            raise RPCError(answer.error.code or 0, answer.error.message or "", bool(answer.error.temporary))
        if answer.disconnect is not None:
            raise DisconnectClient(answer.disconnect.code or 0, answer.disconnect.reason or "")
    except ValueError as error:  # not JSON, or a code that must not be sent
        raise Undelivered(f"invalid response: {error}") from None
    result = bytes(answer.result)
    if not result and not accepts_any_object:
        _require_known_field(answer, content)
    return b"" if result == b"null" else result


def _require_known_field(answer: Answer, content: bytes) -> None:
    """Raise Undelivered for a response without a result that has fields, but none that belongs to the proxy."""
    try:
        names = decode(_fields, content).keys()
    except InvalidJSON as error:  # in the name of a field, which nothing has decoded yet
        raise Undelivered(f"invalid response: {error}") from None
    if names and names.isdisjoint(answer.__struct_fields__):
        shown = ", ".join(repr(name[:MAX_NAMED_LENGTH]) for name in list(names)[:MAX_NAMED_FIELDS])
        more = f" and {len(names) - MAX_NAMED_FIELDS} more" if len(names) > MAX_NAMED_FIELDS else ""
        raise Undelivered(f"the response has none of result, error and disconnect; its fields are {shown}{more}")


def decode_result(decoder: msgspec.json.Decoder[T], content: bytes) -> T:
    """Decode a result that `ask` has returned; an empty one has no fields. Raises Undelivered."""
    try:
        return decode(decoder, content or b"{}")
    except InvalidJSON as error:
        raise Undelivered(f"invalid result: {error}") from None


def connection_fields(context: Context) -> dict[str, Any]:
    """Return the fields about the connection, with which the requests for events of clients begin."""
    return {
        "client": context.client,
        "transport": context.transport,
        "protocol": context.protocol,
        "encoding": "json" if context.protocol == "json" else "binary",
        "user": context.user or "",
    }


def payload_field(data: bytes) -> dict[str, Any]:
    """Return the field of a request with a payload of a client: JSON, or other bytes in Base64.

    Returns no field without a payload.
    """
    if not data:
        return {}
    return {"data": Raw(data)} if is_json(data) else {"b64data": b64encode(data).decode()}


def payload_of(name: str, json: Raw, encoded: str | None, protocol: str, keeps_null: bool = False) -> bytes:
    """Return the payload in the field NAME or b64NAME of a result; empty for none, and for null unless `keeps_null`.

    Raises Undelivered for invalid Base64 or JSON, and for bytes that are not JSON if the client uses JSON.
    """
    try:
        data = json_or_base64(json, encoded, keeps_null)
    except ValueError as error:
        raise Undelivered(f"invalid result: field b64{name}: {error}") from None
    if encoded:
        if protocol == "json" and not is_json(data):
            raise Undelivered(f"invalid result: field b64{name} is not JSON, but the client uses JSON")
    elif data and not is_json(data):
        raise Undelivered(f"invalid result: field {name} is not JSON")
    return data
