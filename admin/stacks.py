"""Formats call stacks as text, for people and for visualization tools."""

from __future__ import annotations

from types import FrameType


def stack_of(frame: FrameType | None) -> list[str]:
    """Return the functions on a stack, outermost first, as `name (file:line)`."""
    places = []
    while frame is not None:
        code = frame.f_code
        places.append(f"{code.co_qualname} ({_shorten_path(code.co_filename)}:{frame.f_lineno})")
        frame = frame.f_back
    return places[::-1]


def _shorten_path(path: str) -> str:
    """Shorten a path to the part that identifies the file, without the directory of the installation."""
    return "/".join(path.split("/")[-3:])
