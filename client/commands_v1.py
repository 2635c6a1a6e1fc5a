"""The commands of the API of v1, which uses signatures, as functions that create commands (docs/api.md).

`Client.v1` and `AsyncClient.v1` have a method with the same parameters for each function. They raise
ValueError for an argument that cannot be used, and TypeError for data that JSON cannot hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .command import Command, Repeat, encode_json, given_parameters
from .results_v1 import ClientInfo, Message, Node, Stats


def publish(channel: str, data: Any, *, client: str = "", uid: str = "") -> Command[None]:
    """Publish `data`, which is any value that JSON can express, into a channel.

    Subscribers receive `client` as the client ID of the publisher. `uid` is the ID of the message; without it the
    server creates one. The command is not sent again if the server may have received it.
    """
    params = given_parameters("channel", channel=channel, data=encode_json(data), client=client, uid=uid)
    return Command("publish", params, repeat=Repeat.UNSAFE)


def broadcast(channels: Sequence[str], data: Any, *, client: str = "") -> Command[None]:
    """Publish the same data into several channels, in order. The first failure ends the command.

    The command is not sent again if the server may have received it.
    """
    params = given_parameters("channels", channels=channels, data=encode_json(data), client=client)
    return Command("broadcast", params, repeat=Repeat.UNSAFE)


def unsubscribe(user: str | int, channel: str = "") -> Command[None]:
    """End the subscription of a user to a channel, or to all channels if it is empty."""
    return Command("unsubscribe", given_parameters(user=user, channel=channel))


def disconnect(user: str | int) -> Command[None]:
    """Close the connections of a user. Its clients do not reconnect."""
    return Command("disconnect", given_parameters(user=user))


def presence(channel: str) -> Command[dict[str, ClientInfo]]:
    """List the clients in a channel, by client ID."""
    return Command("presence", given_parameters("channel", channel=channel), dict[str, ClientInfo])


def history(channel: str) -> Command[list[Message]]:
    """List the messages in the history of a channel, newest first."""
    return Command("history", given_parameters("channel", channel=channel), list[Message])


def channels() -> Command[list[str]]:
    """List the channels that have subscribers, in no particular order."""
    return Command("channels", {}, list[str])


def stats() -> Command[Stats]:
    """Return the counters of all nodes, from the last report of each."""
    return Command("stats", {}, Stats)


def node() -> Command[Node]:
    """Return the current counters of the node that receives the request."""
    return Command("node", {}, Node)
