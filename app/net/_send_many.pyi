def send_many(descriptors: list[int], buffers: list[bytes], /) -> list[int]:
    """Send each of the buffers to the descriptor at the same place, without waiting.

    Returns for each the number of bytes that were sent, or a negative errno.
    """
