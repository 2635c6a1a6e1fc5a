"""The declaration of a kind of benchmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from benchmarks.load import Load
from benchmarks.report import Result
from benchmarks.target import Target


class Mode(NamedTuple):
    """One kind of benchmark: its purpose, its parameters with their defaults, and the function to run."""

    about: str
    defaults: Mapping[str, Any]
    """By the names of Load's fields."""
    run: Callable[[Target, Load], Result]
    repeatable: bool = True
    """Whether a second run on the same server process means as much as the first."""
    is_for_v1: bool = False
    """Whether it needs what only servers of protocol v1 have."""
    is_for_v2: bool = False
    """Whether it needs what only servers of protocol v2 have, with messages in JSON."""

    @property
    def description(self) -> str:
        """The purpose, and the only protocol that can be measured if there is only one, for the help."""
        only = "v1" if self.is_for_v1 else "v2" if self.is_for_v2 else ""
        return f"{self.about} (--protocol {only} only)" if only else self.about
