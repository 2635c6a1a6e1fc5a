"""Maps ids on a page to the ids of a server, and compares JSON that contains them."""

from __future__ import annotations

import json
import re
from typing import Any

LEFT_OUT = "…"
VARYING = {"epoch", "version", "name", "started_at"}
"""Fields that are different on every machine or in every run: the type of the value is all that is compared."""

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Names:
    """The ids of one page.

    An id that appears for the first time is mapped to the id on the page, and must be the same wherever the page shows
    it again. In JSON `"…": "…"` stands for fields that the page leaves out.
    """

    def __init__(self) -> None:
        self._real: dict[str, str] = {}

    def add(self, shown: str, real: str) -> None:
        assert real not in self._real.values(), f"{real} has another name on the page, not {shown}"
        self._real[shown] = real

    def fill(self, text: str) -> str:
        """Return the text with real ids in place of the page's."""
        return _UUID.sub(lambda match: self._real.get(match[0], match[0]), text)

    def compare_lines(self, shown: str, came: str) -> None:
        """Compare line by line; lines of JSON as JSON."""
        lines, others = shown.splitlines(), came.splitlines()
        assert len(lines) == len(others), came
        for line, other in zip(lines, others, strict=True):
            if line.startswith(("{", "[")):
                self.compare_json(line, other)
            else:
                assert line == other, f"{other!r} instead of {line!r}"

    def compare_json(self, shown: str, came: str) -> None:
        try:
            self._compare(_parsed(shown), _parsed(came), "$")
        except AssertionError as error:
            raise AssertionError(f"{error}\nthe whole of it: {came}") from None

    def _compare(self, shown: Any, came: Any, path: str) -> None:
        if isinstance(shown, dict) and isinstance(came, dict):
            self._compare_fields(shown, came, path)
        elif isinstance(shown, list) and isinstance(came, list):
            assert len(shown) == len(came), f"{path}: {len(came)} items instead of {len(shown)}"
            for index, (one, other) in enumerate(zip(shown, came, strict=True)):
                self._compare(one, other, f"{path}[{index}]")
        else:
            if _is_id(shown) and _is_id(came) and shown not in self._real:
                self.add(shown, came)
            wanted = self.fill(shown) if isinstance(shown, str) else shown
            # True equals 1 in Python, but not in JSON.
            same = wanted == came and type(wanted) is type(came)
            assert same, f"{path}: {came!r} instead of {wanted!r}"

    def _compare_fields(self, shown: dict[str, Any], came: dict[str, Any], path: str) -> None:
        shown = {self.fill(name): value for name, value in shown.items()}
        if shown.pop(LEFT_OUT, None):
            came = {name: value for name, value in came.items() if name in shown}
        assert shown.keys() == came.keys(), f"{path}: the fields {sorted(came)} instead of {sorted(shown)}"
        for name, value in shown.items():
            if name in VARYING or path.endswith(".metrics"):
                assert type(came[name]) is type(value), f"{path}.{name}"
            else:
                self._compare(value, came[name], f"{path}.{name}")


def _parsed(text: str) -> Any:
    """Decode JSON, with numbers as texts: 1.50 is not 1.5."""
    return json.loads(text, parse_int=_number, parse_float=_number)


def _number(text: str) -> dict[str, str]:
    return {"number": text}


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and _UUID.fullmatch(value) is not None
