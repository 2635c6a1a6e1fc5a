"""The commands of a batch. They are checked before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from .command import Command, Origin
from .parameters import describe

T = TypeVar("T")


def checked_commands(commands: Iterable[Command[T]], origin: Origin) -> list[Command[T]]:
    """Return the commands of a batch, which all have this origin.

    Raises ValueError, with the place of the first one that cannot be used.
    """
    found = _list_of(commands, origin)
    for place, command in enumerate(found):
        if not isinstance(command, Command):
            raise _unusable(f"commands[{place}]", "a command", origin, describe(command))
        if command.origin is not origin:
            raise _unusable(f"commands[{place}]", "a command", origin, f"{command.method} of {command.origin.value}")
    return found


def _list_of(commands: Any, origin: Origin) -> list[Any]:
    """Return the values of any iterable that is not a mapping or a text."""
    if not isinstance(commands, (str, bytes, Mapping)):
        try:
            values = iter(commands)
        except TypeError:
            pass
        else:
            return list(values)
    raise _unusable("commands", "a list of commands", origin, describe(commands))


def _unusable(place: str, expected: str, origin: Origin, given: str) -> ValueError:
    return ValueError(f"{place}: expected {expected} of {origin.value}, not {given}")
