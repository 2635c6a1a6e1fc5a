"""Stacks as text, for people and for tools that draw them."""

from __future__ import annotations

from types import FrameType


def stack_of(frame: FrameType | None) -> list[str]:
    """The functions on a stack, outermost first: `name (file:line)`."""
    places = []
    while frame is not None:
        code = frame.f_code
        places.append(f"{code.co_qualname} ({_short(code.co_filename)}:{frame.f_lineno})")
        frame = frame.f_back
    return places[::-1]


def _short(path: str) -> str:
    """The end of a path that says which file it is; where it lies on the machine is nobody's business."""
    return "/".join(path.split("/")[-3:])
