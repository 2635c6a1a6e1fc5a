"""The commands of the API of v1, with a signature, as functions that make commands (docs/api.md).

`Client.v1` and `AsyncClient.v1` have a method with the parameters of each function.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .command import Command, Repeat, encoded, given
from .commands import listed
from .results_v1 import ClientInfo, Message, Node, Stats


def publish(channel: str, data: Any, *, client: str = "", uid: str = "") -> Command[None]:
    """Publish `data`, anything that JSON can express, into a channel.

    `client` is the client ID that subscribers see with the message, `uid` the ID of the message, which the server makes
    otherwise. The command is not sent again once the server may have received it.
    """
    params = given(channel=channel, data=encoded(data), client=client, uid=uid)
    return Command("publish", params, repeat=Repeat.UNSAFE)


def broadcast(channels: Sequence[str], data: Any, *, client: str = "") -> Command[None]:
    """Publish the same into several channels, up to the first that fails.

    The command is not sent again once the server may have received it. Raises TypeError if `channels` is a single text.
    """
    params = given(channels=listed("channels", channels), data=encoded(data), client=client)
    return Command("broadcast", params, repeat=Repeat.UNSAFE)


def unsubscribe(user: str, channel: str = "") -> Command[None]:
    """End the subscription of a user to a channel, or to all channels if it is empty."""
    return Command("unsubscribe", given(user=user, channel=channel))


def disconnect(user: str) -> Command[None]:
    """Close the connections of a user with the advice not to connect again."""
    return Command("disconnect", given(user=user))


def presence(channel: str) -> Command[dict[str, ClientInfo]]:
    """List the clients in a channel, by client ID."""
    return Command("presence", given(channel=channel), dict[str, ClientInfo])


def history(channel: str) -> Command[list[Message]]:
    """List the messages that a channel keeps, newest first."""
    return Command("history", given(channel=channel), list[Message])


def channels() -> Command[list[str]]:
    """List the channels that have subscribers, in no particular order."""
    return Command("channels", {}, list[str])


def stats() -> Command[Stats]:
    """What all nodes last reported about themselves."""
    return Command("stats", {}, Stats)


def node() -> Command[Node]:
    """The current figures of the node that receives the request."""
    return Command("node", {}, Node)
