"""The values that parameters of commands may have. They are checked by name when a command is created."""

from __future__ import annotations

import reprlib
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

import msgspec

from .results import BoolValue, DisconnectReason, Position, SubscribeOverride

MAX_COUNT = 2**63 - 1
"""The largest version and time that the server accepts."""
MAX_LIMIT = 2**31 - 1
"""The largest number of publications that the server accepts as a limit."""


class Kind(NamedTuple):
    """What a parameter accepts."""

    convert: Callable[[Any], Any]
    """Returns the value to send. Raises TypeError, ValueError or ValidationError for one that cannot be used."""
    expected: str


class UnknownField(ValueError):
    """An object has a field that does not exist. The text names it, and those that do."""

    def __init__(self, field: object, known: Iterable[str], place: str = "") -> None:
        fields = ", ".join(known)
        similar = get_close_matches(field, known, n=1) if isinstance(field, str) else ()
        hint = f"did you mean {similar[0]}? The" if similar else "the"
        super().__init__(f"unknown field {describe(field)}{place}; {hint} fields are {fields}")


def checked_parameter(name: str, value: Any) -> Any:
    """Return the value to send for the parameter `name`. Raises ValueError, with the name, if it cannot be used."""
    kind = KINDS[name]
    try:
        return kind.convert(value)
    except UnknownField as error:
        raise ValueError(f"{name}: {error}") from None
    except (TypeError, ValueError, msgspec.ValidationError):
        raise unusable(name, kind.expected, value) from None


def unusable(name: str, expected: str, value: object) -> ValueError:
    """Return the error for a value of the parameter `name` that cannot be used."""
    return ValueError(f"{name}: expected {expected}, not {describe(value)}")


def describe(value: object) -> str:
    """Return a short description of a value for the text of an error."""
    try:
        return reprlib.repr(value)
    except ValueError:  # Python converts only integers of up to 4300 digits to text, by default
        return f"an {type(value).__name__} that is too large" if isinstance(value, int) else type(value).__name__


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    value.encode()  # half of a surrogate pair cannot be sent
    return str.__str__(value)  # the text of a subclass, for which `str` may return another one


def _user(value: Any) -> str:
    """Convert the ID of a user, which may be an integer, to a string."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(int(value))
    return _text(value)


def _base64(value: Any) -> str:
    text = _text(value)
    b64decode(text, validate=True)
    return text


def _raw_json(value: Any) -> msgspec.Raw:
    if not isinstance(value, msgspec.Raw):
        raise TypeError
    return value


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
    if isinstance(value, (str, Mapping)):
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


def _object(type_: type[msgspec.Struct], example: str, *, of: type[msgspec.Struct] | None = None) -> Kind:
    """Return the kind of an object with the fields of this type, or a mapping of them; the values are of type `of`.

    Another object with all of these fields is accepted too, such as the result of `history` as a position.
    """

    def convert(value: Any) -> Any:
        fields = msgspec.to_builtins(value, enc_hook=_builtin)
        if not isinstance(value, msgspec.Struct) or not set(type_.__struct_fields__) <= set(value.__struct_fields__):
            _check_fields(fields, type_)
        if of is not None and isinstance(fields, dict):
            for name, field in fields.items():
                _check_fields(field, of, f" in {name}")
        return msgspec.convert(fields, type_)

    return Kind(convert, example)


def _builtin(value: Any) -> Any:
    """Convert a mapping or a text of another type to a built-in one."""
    return dict(value) if isinstance(value, Mapping) else _text(value)


def _check_fields(value: Any, type_: type[msgspec.Struct], place: str = "") -> None:
    """Raise UnknownField if a mapping has a field that the type does not have."""
    for field in value if isinstance(value, dict) else ():
        if field not in type_.__struct_fields__:
            raise UnknownField(field, type_.__struct_fields__, place)


TEXT = Kind(_text, "a string")
BASE64 = Kind(_base64, "Base64 in a string, with + and / and with = at the end if the length requires it")
ENCODED = Kind(_raw_json, "JSON in a Raw")
FLAG = Kind(_flag, "True or False")
COUNT = Kind(lambda value: _integer(value, range(MAX_COUNT + 1)), "an integer that is not negative")
LIMIT = Kind(lambda value: _integer(value, range(-1, MAX_LIMIT + 1)), "a number of publications, or -1 for all")
POSITION = _object(Position, "a position, such as Position(offset=1, epoch=…)")
_TEXTS = ("channel", "client", "session", "idempotency_key", "version_epoch", "uid", "pattern")

KINDS: Mapping[str, Kind] = {
    **dict.fromkeys(_TEXTS, TEXT),
    **dict.fromkeys(("b64data", "b64info"), BASE64),
    **dict.fromkeys(("data", "info"), ENCODED),
    **dict.fromkeys(("skip_history", "delta", "reverse", "expired"), FLAG),
    **dict.fromkeys(("version", "expire_at"), COUNT),
    "limit": LIMIT,
    **dict.fromkeys(("since", "recover_since"), POSITION),
    "user": Kind(_user, "a string or an integer"),
    "channels": Kind(_names, "a list of strings that are not empty"),
    "whitelist": Kind(_texts, "a list of strings"),
    "tags": Kind(_tags, "a dictionary of strings"),
    "override": _object(SubscribeOverride, "a SubscribeOverride whose fields are BoolValue(…)", of=BoolValue),
    "disconnect": _object(DisconnectReason, "a reason, such as DisconnectReason(4000, …)"),
}
"""What each parameter of a method accepts. Those that are any JSON are encoded before."""
