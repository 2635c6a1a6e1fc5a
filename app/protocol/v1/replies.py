"""The replies to one message of a peer, with a limit of their total size.

A message of a few kilobytes can cause gigabytes of replies, for example a thousand commands for the same history.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...runtime.yielding import yield_if_due
from .wire import Command


def gather(
    commands: Sequence[Command], reply: Callable[[Command], bytes], can_continue: Callable[[int], bool]
) -> list[bytes] | None:
    """Carry out commands in order and return their replies; other greenlets may run between two commands.

    After each command `can_continue` is called with the number of bytes of all replies so far. If it returns False, the
    result is None, and the remaining commands are not carried out.
    """
    replies: list[bytes] = []
    size = 0
    for command in commands:
        replies.append(reply(command))
        size += len(replies[-1])
        if len(commands) > 1:
            yield_if_due()
        if not can_continue(size):
            return None
    return replies
