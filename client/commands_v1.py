"""The commands of the API of v1, which uses signatures, as functions that create commands (docs/api.md).

`Client.v1` and `AsyncClient.v1` have a method with the same parameters for each function. They raise
ValueError for an argument that cannot be used, and TypeError for data that JSON cannot hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from .command import Command, Origin, Repeat, encode_json, given_parameters, require_data
from .results_v1 import ClientInfo, Message, Node, Stats

T = TypeVar("T")


def publish(channel: str, data: Any, *, client: str = "", uid: str = "") -> Command[None]:
    """Publish `data`, which is any value that JSON can express, into a channel.

    Subscribers receive `client` as the client ID of the publisher. `uid` is the ID of the message; without it the
    server creates one. The command is not sent again if the server may have received it.
    """
    params = given_parameters("channel", channel=channel, data=encode_json("data", data), client=client, uid=uid)
    require_data(params, "data")
    return _command("publish", params, repeat=Repeat.UNSAFE)


def broadcast(channels: Sequence[str], data: Any, *, client: str = "") -> Command[None]:
    """Publish the same data into several channels, in order. The first failure ends the command.

    The command is not sent again if the server may have received it.
    """
    params = given_parameters("channels", channels=channels, data=encode_json("data", data), client=client)
    require_data(params, "data")
    return _command("broadcast", params, repeat=Repeat.UNSAFE)


def unsubscribe(user: str | int, channel: str = "") -> Command[None]:
    """End the subscription of a user to a channel, or to all channels if it is empty."""
    return _command("unsubscribe", given_parameters("user", user=user, channel=channel))


def disconnect(user: str | int) -> Command[None]:
    """Close the connections of a user. Its clients do not reconnect."""
    return _command("disconnect", given_parameters("user", user=user))


def presence(channel: str) -> Command[dict[str, ClientInfo]]:
    """List the clients in a channel, by client ID."""
    return _command("presence", given_parameters("channel", channel=channel), dict[str, ClientInfo])


def history(channel: str) -> Command[list[Message]]:
    """List the messages in the history of a channel, newest first."""
    return _command("history", given_parameters("channel", channel=channel), list[Message])


def channels() -> Command[list[str]]:
    """List the channels that have subscribers, in no particular order."""
    return _command("channels", {}, list[str])


def stats() -> Command[Stats]:
    """Return the counters of all nodes, from the last report of each."""
    return _command("stats", {}, Stats)


def node() -> Command[Node]:
    """Return the current counters of the node that receives the request."""
    return _command("node", {}, Node)


def _command(
    method: str, params: Mapping[str, Any], result: type[T] | None = None, *, repeat: Repeat = Repeat.SAFE
) -> Command[T]:
    return Command(method, params, result, repeat, Origin.V1)
