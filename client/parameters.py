"""The values that parameters of commands may have. They are checked by name when a command is created."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from .results import DisconnectReason, Position, SubscribeOverride

MAX_COUNT = 2**63 - 1
"""The largest version and time that the server accepts."""
MAX_LIMIT = 2**31 - 1
"""The largest number of publications that the server accepts as a limit."""


class Kind(NamedTuple):
    """What a parameter accepts."""

    convert: Callable[[Any], Any]
    """Returns the value to send. Raises TypeError, ValueError or ValidationError for one that cannot be used."""
    expected: str


def checked_parameter(name: str, value: Any) -> Any:
    """Return the value to send for the parameter `name`. Raises ValueError, with the name, if it cannot be used."""
    if isinstance(value, msgspec.Raw):  # any JSON, which is encoded already
        return value
    kind = KINDS[name]
    try:
        return kind.convert(value)
    except (TypeError, ValueError, msgspec.ValidationError):
        raise ValueError(f"{name}: expected {kind.expected}, not {reprlib.repr(value)}") from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    value.encode()  # half of a surrogate pair cannot be sent
    return value


def _user(value: Any) -> str:
    """Convert the ID of a user, which may be a number, to a string."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(int(value))
    return _text(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _integer(value: Any, allowed: range) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    number = int(value)  # a range would search for an instance of a subclass one by one
    if number not in allowed:
        raise ValueError
    return number


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        raise TypeError
    return [_text(text) for text in value]


def _names(value: Any) -> list[str]:
    names = _texts(value)
    if "" in names:
        raise ValueError
    return names


def _tags(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise TypeError
    return {_text(name): _text(text) for name, text in value.items()}


def _object(type_: type[msgspec.Struct], example: str) -> Kind:
    """Return the kind of an object of this type, or a mapping with its fields."""
    return Kind(lambda value: msgspec.convert(msgspec.to_builtins(value), type_), example)


TEXT = Kind(_text, "a string")
FLAG = Kind(_flag, "True or False")
COUNT = Kind(lambda value: _integer(value, range(MAX_COUNT + 1)), "an integer that is not negative")
LIMIT = Kind(lambda value: _integer(value, range(-1, MAX_LIMIT + 1)), "a number of publications, or -1 for all")
POSITION = _object(Position, "a position, such as Position(offset=1, epoch=…)")
_TEXTS = ("channel", "b64data", "b64info", "client", "session", "idempotency_key", "version_epoch", "uid", "pattern")

KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(_TEXTS, TEXT),
    **dict.fromkeys(("skip_history", "delta", "reverse", "expired"), FLAG),
    **dict.fromkeys(("version", "expire_at"), COUNT),
    "limit": LIMIT,
    **dict.fromkeys(("since", "recover_since"), POSITION),
    "user": Kind(_user, "a string or a number"),
    "channels": Kind(_names, "a list of strings that are not empty"),
    "whitelist": Kind(_texts, "a list of strings"),
    "tags": Kind(_tags, "a dictionary of strings"),
    "override": _object(SubscribeOverride, "a SubscribeOverride whose fields are BoolValue(…)"),
    "disconnect": _object(DisconnectReason, "a reason, such as DisconnectReason(4000, …)"),
}
"""What each parameter of a method accepts, except those that are any JSON."""
