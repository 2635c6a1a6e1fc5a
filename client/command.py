"""A command as data: the name of a method, its parameters, and the type of its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import UNSET

from .parameters import checked_parameter, unusable

T_co = TypeVar("T_co", covariant=True)


class Repeat(Enum):
    """Whether a command may be carried out twice."""

    SAFE = "carrying it out twice has the same effect as once"
    WITH_KEY = "safe with an idempotency key"
    UNSAFE = "it publishes a message each time"


class Origin(Enum):
    """The module with the function that has created a command. Each API has its own."""

    KEY = "gentrifugo.client.commands"
    V1 = "gentrifugo.client.commands_v1"


@dataclass(frozen=True, slots=True)
class Command(Generic[T_co]):
    """One command, created by a function in commands.py or commands_v1.py, and carried out by a client."""

    method: str
    params: Mapping[str, Any]
    result: type[T_co] | None = None
    """None if the result is empty."""
    repeat: Repeat = Repeat.SAFE
    origin: Origin = Origin.KEY

    @property
    def is_repeatable(self) -> bool:
        """Whether the command may be sent again if the server may have carried it out already."""
        if self.repeat is Repeat.WITH_KEY:
            return bool(self.params.get("idempotency_key"))
        return self.repeat is Repeat.SAFE


def given_parameters(*required: str, **params: Any) -> dict[str, Any]:
    """Return the parameters without those that are None, UNSET or an empty text, which count as not given.

    Raises ValueError for a value that cannot be used, and for a `required` parameter that is not given or empty. The
    user cannot be None either: the server would take that for the clients without a user, all of them.
    """
    given = {
        name: checked_parameter(name, value)
        for name, value in params.items()
        if (value is not None or name == "user") and value is not UNSET and value != ""
    }
    for name in required:
        if not given.get(name):
            raise ValueError(f"{name} is empty")
    return given


def require_data(params: Mapping[str, Any], *names: str) -> None:
    """Raise ValueError if the parameters of a publication contain none of these names."""
    if not any(name in params for name in names):
        advice = f"; give {' or '.join(names)}" if len(names) > 1 else ""
        raise ValueError(f"data is missing{advice}")


def encode_json(name: str, value: Any, *, binary: str = "") -> msgspec.Raw | msgspec.UnsetType:
    """Encode the value of the parameter `name` as JSON; a Raw is JSON already.

    `binary` is the parameter for bytes that are not JSON, if there is one. Raises TypeError, with the name, for a value
    that JSON cannot express, and for bytes, which are usually JSON that is encoded already. Raises ValueError for deep
    nesting, half of a surrogate pair, an integer with too many digits, or a Raw that is not JSON.
    """
    if isinstance(value, msgspec.UnsetType):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        other = f", or {binary} for binary data" if binary else ""
        advice = f"pass the decoded value, or msgspec.Raw for JSON that is encoded already{other}"
        raise TypeError(f"{name}: {type(value).__name__} is not a value of JSON; {advice}")
    try:
        text = msgspec.json.encode(value)
        text.decode()
        return _json.decode(text)  # finds what is not JSON in a Raw
    except RecursionError:
        raise ValueError(f"{name}: nested too deeply for JSON") from None
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None
    except UnicodeError:
        raise unusable(name, "text without halves of surrogate pairs, in UTF-8", value) from None
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{name}: {error}") from None


_json = msgspec.json.Decoder(msgspec.Raw)
