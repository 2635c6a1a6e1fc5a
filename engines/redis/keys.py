"""The names of everything that the engine keeps in Redis or sends through it (docs/redis.md)."""

from __future__ import annotations

import re


class Keys:
    """The names below one prefix."""

    def __init__(self, prefix: str) -> None:
        self.control = f"{prefix}.control".encode()
        """Pub/sub channel of the messages between nodes."""
        self.epoch = f"{prefix}.epoch"
        """Hash: which life of which server the history belongs to, and which one what hooks were told."""
        self.api = f"{prefix}.api"
        """List: the queue of API commands; further queues have a number behind it."""
        self.occupied = f"{prefix}.occupied"
        """Set: the channels that hooks were told to be occupied."""
        self.occupied_before = f"{prefix}.occupied.before"
        """Set: the same of earlier epochs, as far as the server has it and nobody has looked at it since."""
        self.telling = f"{prefix}.occupied.telling"
        """Sorted set: the channels of which hooks are being told, by the millisecond until which."""
        self.empty = f"{prefix}.occupied.empty"
        """Sorted set: the channels among them that a sweep found without subscribers, by the millisecond in which."""
        self.sweeping = f"{prefix}.occupied.sweeping"
        """Text: there while a sweep for what nobody tells is recent."""
        self._channel = f"{prefix}.channel."
        self._history = f"{prefix}.history."
        self._presence = f"{prefix}.presence."
        self.channel_pattern = re.sub(r"([*?\[\]\\])", r"\\\1", self._channel) + "*"
        """What matches the pub/sub channels of all channels."""

    def channel(self, channel: str) -> bytes:
        """Pub/sub channel for what happens in `channel`."""
        return (self._channel + channel).encode()

    def channel_of(self, name: bytes) -> str:
        """The opposite."""
        return name.decode()[len(self._channel) :]

    def history(self, channel: str) -> str:
        """List: what was published in `channel`, newest first."""
        return self._history + channel

    def presence(self, channel: str) -> tuple[str, str]:
        """Sorted set of clients by the millisecond in which their presence ends, and hash of who they are."""
        return self._presence + "ends." + channel, self._presence + "info." + channel

    def api_queue(self, number: int | None) -> str:
        """The queue of API commands with this number, or the one without."""
        return self.api if number is None else f"{self.api}.{number}"
