"""The names of everything that the engine keeps in Redis or sends through it (docs/redis.md)."""

from __future__ import annotations

import re


class Keys:
    """The names below one prefix."""

    def __init__(self, prefix: str) -> None:
        self.control = f"{prefix}.control".encode()
        """Pub/sub channel of the messages between nodes."""
        self.epoch = f"{prefix}.epoch"
        """Hash: the current epoch, its server, how many streams have begun, and the epoch of the reported occupancy."""
        self.api = f"{prefix}.api"
        """List: the queue of API commands; further queues have a number behind it."""
        self.occupied = f"{prefix}.occupied"
        """Set: the channels that were last reported as occupied."""
        self.occupied_before = f"{prefix}.occupied.before"
        """Set: the channels that were reported as occupied in earlier epochs and have not been compared since."""
        self.telling = f"{prefix}.occupied.telling"
        """Sorted set: the channels that are being reported, by the millisecond in which the lease ends."""
        self.empty = f"{prefix}.occupied.empty"
        """Sorted set: the occupied channels that a sweep found empty, by the millisecond of that sweep."""
        self.sweeping = f"{prefix}.occupied.sweeping"
        """Text: exists for some seconds after a sweep, so that one node at a time sweeps."""
        self._channel = f"{prefix}.channel."
        self._stream = f"{prefix}.stream."
        self._top = f"{prefix}.top."
        self._result = f"{prefix}.result."
        self._version = f"{prefix}.version."
        self._presence = f"{prefix}.presence."
        self.channel_pattern = re.sub(r"([*?\[\]\\])", r"\\\1", self._channel) + "*"
        """A glob pattern that matches the pub/sub channels of all channels."""

    def channel(self, channel: str) -> bytes:
        """The pub/sub channel for the events in `channel`."""
        return (self._channel + channel).encode()

    def channel_of(self, name: bytes) -> bytes:
        """The channel of a pub/sub channel. The bytes are not always UTF-8: any program can subscribe to any name."""
        return name.removeprefix(self._channel.encode())

    def stream(self, channel: str) -> tuple[str, str]:
        """List: the history of `channel`, newest first. Text: the position of the newest publication."""
        return self._stream + channel, self._top + channel

    def result(self, channel: str, idempotency_key: str) -> str:
        """Text: what the publish with this key in `channel` has returned."""
        # With the length, so that no other pair of channel and key has the same name.
        return f"{self._result}{len(channel)}.{channel}.{idempotency_key}"

    def version(self, channel: str) -> str:
        """Text: the version of the last publication in `channel` that had one, and its epoch."""
        return self._version + channel

    def presence(self, channel: str) -> tuple[str, str]:
        """Sorted set: clients by the millisecond in which their presence ends. Hash: the information about them."""
        return self._presence + "ends." + channel, self._presence + "info." + channel

    def api_queue(self, number: int | None) -> str:
        """The queue of API commands with this number, or the one without."""
        return self.api if number is None else f"{self.api}.{number}"
