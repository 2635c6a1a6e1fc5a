"""One line of the report of `gentrifugo doctor`."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARNING, PROBLEM = "ok", "warning", "problem"


@dataclass(frozen=True)
class Finding:
    """One line of the report: a state (ok, warning or problem), a text, and what to do about it."""

    state: str
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.state:8} {self.text}" + (f"; {self.remedy}" if self.remedy else "")
