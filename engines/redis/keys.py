"""The names of all keys and pub/sub channels that the engine uses in Redis (docs/redis.md)."""

from __future__ import annotations

import re


class Keys:
    """The names that begin with one prefix."""

    def __init__(self, prefix: str) -> None:
        self.control = f"{prefix}.control".encode()
        """Pub/sub channel of the messages between nodes."""
        self.epoch = f"{prefix}.epoch"
        """Hash: the current epoch, its server, the number of streams, and the epoch of the reported occupancy."""
        self.api = f"{prefix}.api"
        """List: the queue of API commands; the names of further queues end with a number."""
        self.occupied = f"{prefix}.occupied"
        """Set: the channels that were last reported as occupied."""
        self.occupied_before = f"{prefix}.occupied.before"
        """Set: the channels that were reported as occupied in earlier epochs and have not been compared since."""
        self.reporting = f"{prefix}.occupied.telling"
        """Sorted set: the channels that are being reported, by the time in milliseconds when the lease ends."""
        self.empty = f"{prefix}.occupied.empty"
        """Sorted set: the occupied channels that a sweep found empty, by the time of that sweep in milliseconds."""
        self.sweeping = f"{prefix}.occupied.sweeping"
        """String: exists for some seconds after a sweep, so that only one node at a time sweeps."""
        self._channel = f"{prefix}.channel."
        self._stream = f"{prefix}.stream."
        self._top = f"{prefix}.top."
        self._result = f"{prefix}.result."
        self._presence = f"{prefix}.presence."
        self.channel_pattern = re.sub(r"([*?\[\]\\])", r"\\\1", self._channel) + "*"
        """A glob pattern that matches the pub/sub channels of all channels."""

    def channel(self, channel: str) -> bytes:
        """Return the name of the pub/sub channel for the events in `channel`."""
        return (self._channel + channel).encode()

    def channel_of(self, name: bytes) -> bytes:
        """Return the channel of a pub/sub channel. It may be invalid UTF-8: any program can subscribe to any name."""
        return name.removeprefix(self._channel.encode())

    def stream(self, channel: str) -> tuple[str, str]:
        """Return two keys: a list, the history of `channel`, newest first; a string, its position and version."""
        return self._stream + channel, self._top + channel

    def result(self, channel: str, idempotency_key: str) -> str:
        """Return the key of a string: the result of the publish with this idempotency key in `channel`."""
        # The length is included so that no other pair of channel and key has the same name.
        return f"{self._result}{len(channel)}.{channel}.{idempotency_key}"

    def presence(self, channel: str) -> tuple[str, str]:
        """Return two keys: a sorted set of clients by expiry in milliseconds, and a hash of their information."""
        return self._presence + "ends." + channel, self._presence + "info." + channel

    def api_queue(self, number: int | None) -> str:
        """Return the key of the queue of API commands with this number; None for the queue without a number."""
        return self.api if number is None else f"{self.api}.{number}"
