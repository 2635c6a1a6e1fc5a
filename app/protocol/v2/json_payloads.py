"""Checks that the payloads in a message are JSON, before the message is encoded as JSON.

Which fields can contain payloads is found once for each type of message.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from msgspec import Raw

from ...model.json_codec import is_json
from ...model.payload import NO_PAYLOAD
from .fields import Field, Kind, Message, fields_of
from .format import NotJSON
from .messages import Push, Reply

Check = Callable[[Any], None]


def _check_payload(payload: Raw) -> None:
    """Raise NotJSON for an invalid payload: it could add fields to the message that contains it."""
    if not is_json(bytes(payload)):
        raise NotJSON("payload is not JSON")


def _check_list(values: list[Any]) -> None:
    for value in values:
        check_payloads(value)


def _check_map(values: dict[str, Any]) -> None:
    for value in values.values():
        check_payloads(value)


_CHECKS: dict[type, Check] = {Raw: _check_payload, list: _check_list, dict: _check_map}
"""The function that checks the payloads in a value of each type, for the types that can contain payloads."""


def check_payloads(value: Any) -> None:
    """Raise NotJSON for a message, or a value of one, that contains an invalid payload."""
    check = _CHECKS.get(type(value))
    if check is not None:
        check(value)


def _add_check(type_: type[Message]) -> bool:
    """Add the function for a type of message to the table. Returns whether its messages can contain payloads."""
    if type_ not in _CHECKS:
        names = [field.name for field in fields_of(type_) if _can_have_payload(type_, field)]
        if not names:
            return False
        _CHECKS[type_] = _message_check(attrgetter(*names) if len(names) > 1 else _one_value(*names))
    return True


def _can_have_payload(type_: type[Message], field: Field) -> bool:
    if field.message is None or field.message is type_:
        return field.kind is Kind.PAYLOAD
    return _add_check(field.message)


def _message_check(values_of: Callable[[Any], tuple[Any, ...]]) -> Check:
    def check_message(message: Any) -> None:
        for value in values_of(message):
            if value is not None and value is not NO_PAYLOAD:  # nearly all fields of a reply or push are None
                check = _CHECKS.get(type(value))
                if check is not None:
                    check(value)

    return check_message


def _one_value(name: str) -> Callable[[Any], tuple[Any]]:
    return lambda message: (getattr(message, name),)


_add_check(Reply)
_add_check(Push)
