"""Reads the declarations of messages: name, number and type of each field, for the encoders and decoders.

Does not depend on any particular message.
"""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from typing import Annotated, Any

import msgspec


class Message(msgspec.Struct, omit_defaults=True):
    """Base of all messages."""


class Kind(Enum):
    """The type of one value of a field."""

    BOOL = auto()
    UINT32 = auto()
    UINT64 = auto()
    INT32 = auto()
    INT64 = auto()
    TEXT = auto()
    PAYLOAD = auto()
    MESSAGE = auto()


class Cardinality(Enum):
    """How many values a field has."""

    ONE = auto()
    LIST = auto()
    MAP = auto()
    """Values by keys, which are texts."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message."""

    name: str
    number: int
    """Its number in Protobuf."""
    kind: Kind
    cardinality: Cardinality = Cardinality.ONE
    message: type[Message] | None = None
    """The type of its values if they are messages."""


@cache
def fields_of(type_: type[Message]) -> tuple[Field, ...]:
    """Return the fields of a message, in the order of their declaration.

    Raises TypeError for an unsupported declaration.
    """
    hints = typing.get_type_hints(type_, include_extras=True)
    return tuple(_field(name, hints[name]) for name in type_.__struct_fields__)


_KINDS: dict[Any, Kind] = {bool: Kind.BOOL, str: Kind.TEXT}
_CARDINALITIES: dict[Any, Cardinality] = {list: Cardinality.LIST, dict: Cardinality.MAP}


def _field(name: str, hint: Any) -> Field:
    if typing.get_origin(hint) is not Annotated:
        raise TypeError(f"field {name}: expected an annotation with a field number")
    value, *notes = typing.get_args(hint)
    number = next(note for note in reversed(notes) if isinstance(note, int))
    cardinality = _CARDINALITIES.get(typing.get_origin(value), Cardinality.ONE)
    if cardinality is not Cardinality.ONE or isinstance(value, types.UnionType):
        # The last argument that is a type: the values of a map or a list, or what may be None.
        value = [argument for argument in typing.get_args(value) if argument is not type(None)][-1]
    if isinstance(value, type) and issubclass(value, Message):
        return Field(name, number, Kind.MESSAGE, cardinality, value)
    kind = next((note for note in notes if isinstance(note, Kind)), None) or _KINDS.get(value)
    if kind is None:
        raise TypeError(f"field {name}: unsupported type {value}")
    return Field(name, number, kind, cardinality)
