"""A command as data: the name of a method, its parameters, and the type of its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import UNSET

from .parameters import checked_parameter

T_co = TypeVar("T_co", covariant=True)


class Repeat(Enum):
    """Whether a command may be carried out twice."""

    SAFE = "carrying it out twice has the same effect as once"
    WITH_KEY = "safe with an idempotency key"
    UNSAFE = "it publishes a message each time"


@dataclass(frozen=True, slots=True)
class Command(Generic[T_co]):
    """One command, created by a function in commands.py or commands_v1.py, and carried out by a client."""

    method: str
    params: Mapping[str, Any]
    result: type[T_co] | None = None
    """None if the result is empty."""
    repeat: Repeat = Repeat.SAFE

    @property
    def is_repeatable(self) -> bool:
        """Whether the command may be sent again if the server may have carried it out already."""
        if self.repeat is Repeat.WITH_KEY:
            return bool(self.params.get("idempotency_key"))
        return self.repeat is Repeat.SAFE


def given_parameters(*required: str, **params: Any) -> dict[str, Any]:
    """Return the parameters without those that are None, UNSET or an empty text, which count as not given.

    Raises ValueError for a value that cannot be used, and for a `required` parameter that is not given or empty.
    """
    given = {
        name: checked_parameter(name, value)
        for name, value in params.items()
        if value is not None and value is not UNSET and value != ""
    }
    for name in required:
        if not given.get(name):
            raise ValueError(f"{name} is empty")
    return given


def encode_json(value: Any) -> msgspec.Raw | msgspec.UnsetType:
    """Encode a value as JSON. Raises TypeError for values that JSON cannot express, and ValueError for deep nesting."""
    if isinstance(value, msgspec.UnsetType):
        return value
    try:
        text = msgspec.json.encode(value)
    except RecursionError:
        raise ValueError("the value is nested too deeply for JSON") from None
    raw: msgspec.Raw = msgspec.Raw(text)
    return raw
