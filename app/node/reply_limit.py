"""The limit of the replies to one request of a backend, for all versions of the API.

A request of a few kilobytes can cause gigabytes of replies, for example a thousand commands for the same history.
"""

from __future__ import annotations


class ReplyLimit:
    """The remaining bytes of replies that a request may get."""

    __slots__ = ("left",)

    def __init__(self, size: float) -> None:
        self.left = size
        """0 or less if no further command may be carried out. The last reply may exceed the limit."""
