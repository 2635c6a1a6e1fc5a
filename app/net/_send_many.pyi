from collections.abc import Iterable

from .flushable import Flushable

def queue_frame(outboxes: Iterable[Flushable], frame: bytes, waiting: list[Flushable], /) -> None:
    """Append the frame to each of the outboxes, and the outboxes that were empty to `waiting`.

    Calls `overflow` of an outbox in which more bytes wait than its limit. Raises TypeError if the attributes of an
    outbox are not slots.
    """

def send_waiting(outboxes: list[Flushable], may_share: bool, /) -> list[tuple[Flushable, int | None]] | None:
    """Send all frames that wait in each of the outboxes, without waiting.

    With `may_share`, a helper thread sends a part of them. Outboxes of which everything was sent are empty afterwards,
    and counted in `counts`. Returns the others, each with the number of bytes that were sent, a negative errno, or None
    if nothing was tried: its `fileno` returns -1, or too much would be joined. Returns None if the results are lost for
    lack of memory. Raises errors only before anything is sent, such as TypeError if the attributes of an outbox are not
    slots.
    """
