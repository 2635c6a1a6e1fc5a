from .flushable import Flushable

def send_waiting(outboxes: list[Flushable], may_share: bool, /) -> list[tuple[Flushable, int | None]]:
    """Send all frames that wait in each of the outboxes, without waiting.

    With `may_share`, a helper thread sends a part of them. Outboxes of which everything was sent are empty afterwards,
    and counted in `counts`. Returns the others, each with the number of bytes that were sent, a negative errno, or None
    if its `fileno` returns -1. Raises TypeError if the attributes of an outbox are not slots.
    """
