"""A command as data: what a method is called, its parameters, and the type of its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import UNSET

T_co = TypeVar("T_co", covariant=True)


class Repeat(Enum):
    """Whether carrying out a command twice differs from once."""

    SAFE = "it reads, or sets a state"
    WITH_KEY = "it publishes once for each idempotency key"
    UNSAFE = "it publishes each time"


@dataclass(frozen=True, slots=True)
class Command(Generic[T_co]):
    """One command; the functions in commands.py and commands_v1.py make them, and clients carry them out."""

    method: str
    params: Mapping[str, Any]
    result: type[T_co] | None = None
    """None if the result is empty."""
    repeat: Repeat = Repeat.SAFE

    @property
    def is_repeatable(self) -> bool:
        """Whether the command may be sent again when the server may have carried it out already."""
        if self.repeat is Repeat.WITH_KEY:
            return bool(self.params.get("idempotency_key"))
        return self.repeat is Repeat.SAFE


def given(**params: Any) -> dict[str, Any]:
    """The parameters that are given: None and an empty text stand for one that is not."""
    return {name: value for name, value in params.items() if value is not None and value is not UNSET and value != ""}


def encoded(value: Any) -> msgspec.Raw | msgspec.UnsetType:
    """A value as JSON. Raises TypeError for what JSON cannot hold, and ValueError for too many levels."""
    if isinstance(value, msgspec.UnsetType):
        return value
    try:
        text = msgspec.json.encode(value)
    except RecursionError:
        raise ValueError("the value is nested too deeply for JSON") from None
    raw: msgspec.Raw = msgspec.Raw(text)
    return raw
