def send_many(descriptors: list[int], buffers: list[bytes], may_share: bool, /) -> list[int]:
    """Send each of the buffers to the descriptor at the same place, without waiting.

    With `may_share`, a helper thread takes a part of many. Returns for each the number of bytes that were sent, or a
    negative errno.
    """
