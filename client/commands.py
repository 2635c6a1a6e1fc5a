"""The methods of the API with an API key, as functions that create commands.

`Client` and `AsyncClient` have a method with the same parameters for each function. Pass the commands that the
functions return to `batch`. docs/api-v4.md lists the defaults of parameters. The ID of a user is a string or an
integer. All functions raise ValueError for an argument that cannot be used, and TypeError for data that JSON cannot
hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET

from .command import Command, Repeat, encode_json, given_parameters, require_data
from .parameters import checked_parameter
from .results import (
    BroadcastResult,
    ChannelsResult,
    DisconnectReason,
    HistoryResult,
    InfoResult,
    Position,
    PresenceResult,
    PresenceStatsResult,
    PublishResult,
    SubscribeOverride,
)


def publish(
    channel: str,
    data: Any = UNSET,
    *,
    b64data: str | None = None,
    skip_history: bool | None = None,
    tags: Mapping[str, str] | None = None,
    idempotency_key: str | None = None,
    delta: bool | None = None,
    version: int | None = None,
    version_epoch: str | None = None,
) -> Command[PublishResult]:
    """Publish into a channel: `data`, which is any value that JSON can express, or `b64data`, which is Base64.

    JSON that is encoded already is a `msgspec.Raw` as `data`; bytes raise TypeError.

    If `idempotency_key` is None and retries are on, the client creates a key for each call. With an empty string, no
    key is sent, and the command is not sent again if the server may have received it.
    """
    params = given_parameters(
        "channel",
        channel=channel,
        data=encode_json("data", data, binary="b64data"),
        b64data=b64data,
        skip_history=skip_history,
        tags=tags,
        delta=delta,
        version=version,
        version_epoch=version_epoch,
    )
    require_data(params, "data", "b64data")
    return Command("publish", params | _key(idempotency_key), PublishResult, Repeat.WITH_KEY)


def broadcast(
    channels: Sequence[str],
    data: Any = UNSET,
    *,
    b64data: str | None = None,
    skip_history: bool | None = None,
    tags: Mapping[str, str] | None = None,
    idempotency_key: str | None = None,
    delta: bool | None = None,
    version: int | None = None,
    version_epoch: str | None = None,
) -> Command[BroadcastResult]:
    """Publish the same data into several channels. The other parameters have the same meaning as for `publish`.

    The result has an outcome for each channel.
    """
    params = given_parameters(
        "channels",
        channels=channels,
        data=encode_json("data", data, binary="b64data"),
        b64data=b64data,
        skip_history=skip_history,
        tags=tags,
        delta=delta,
        version=version,
        version_epoch=version_epoch,
    )
    require_data(params, "data", "b64data")
    return Command("broadcast", params | _key(idempotency_key), BroadcastResult, Repeat.WITH_KEY)


def subscribe(
    user: str | int,
    channel: str,
    *,
    client: str | None = None,
    session: str | None = None,
    expire_at: int | None = None,
    info: Any = UNSET,
    b64info: str | None = None,
    data: Any = UNSET,
    b64data: str | None = None,
    recover_since: Position | None = None,
    override: SubscribeOverride | None = None,
) -> Command[None]:
    """Subscribe the connections of a user to a channel, or only the one with the ID `client`.

    `info` is sent to other clients in this channel, `data` to the client with the subscription. `expire_at` is in Unix
    seconds; 0 means never.
    """
    params = given_parameters(
        "channel",
        user=user,
        channel=channel,
        client=client,
        session=session,
        expire_at=expire_at,
        info=encode_json("info", info, binary="b64info"),
        b64info=b64info,
        data=encode_json("data", data, binary="b64data"),
        b64data=b64data,
        recover_since=recover_since,
        override=override,
    )
    return Command("subscribe", params)


def unsubscribe(
    user: str | int, channel: str = "", *, client: str | None = None, session: str | None = None
) -> Command[None]:
    """End the subscription of a user to a channel, or to all channels if it is empty."""
    return Command("unsubscribe", given_parameters(user=user, channel=channel, client=client, session=session))


def disconnect(
    user: str | int,
    *,
    client: str | None = None,
    session: str | None = None,
    whitelist: Sequence[str] | None = None,
    disconnect: DisconnectReason | None = None,
) -> Command[None]:
    """Close the connections of a user, except those whose client IDs are in `whitelist`.

    `disconnect` is the close code and the reason that clients receive. Without it, clients do not reconnect.
    """
    params = given_parameters(user=user, client=client, session=session, whitelist=whitelist, disconnect=disconnect)
    return Command("disconnect", params)


def refresh(
    user: str | int,
    *,
    client: str | None = None,
    session: str | None = None,
    expired: bool | None = None,
    expire_at: int | None = None,
    info: Any = UNSET,
) -> Command[None]:
    """Change when the connections of a user expire (Unix seconds, 0 for never), or close them as expired.

    `info` replaces the info of the connections that is sent to other clients.
    """
    params = given_parameters(
        user=user, client=client, session=session, expired=expired, expire_at=expire_at, info=encode_json("info", info)
    )
    return Command("refresh", params)


def presence(channel: str) -> Command[PresenceResult]:
    """List the clients in a channel."""
    return Command("presence", given_parameters("channel", channel=channel), PresenceResult)


def presence_stats(channel: str) -> Command[PresenceStatsResult]:
    """Count the connections and users in a channel."""
    return Command("presence_stats", given_parameters("channel", channel=channel), PresenceStatsResult)


def history(
    channel: str, *, limit: int | None = None, since: Position | None = None, reverse: bool | None = None
) -> Command[HistoryResult]:
    """Read the history of a channel: at most `limit` publications, or all for -1. None returns only the position.

    `since` limits it to publications after this position. With `reverse` the newest publication comes first, and
    `since` limits it to publications before the position.
    """
    return Command(
        "history",
        given_parameters("channel", channel=channel, limit=limit, since=since, reverse=reverse),
        HistoryResult,
    )


def history_remove(channel: str) -> Command[None]:
    """Delete the history of a channel. The next publication has the next offset."""
    return Command("history_remove", given_parameters("channel", channel=channel))


def channels(pattern: str | None = None) -> Command[ChannelsResult]:
    """List the channels that have subscribers, or only those whose names match `pattern`."""
    return Command("channels", given_parameters(pattern=pattern), ChannelsResult)


def info() -> Command[InfoResult]:
    """Describe the nodes of the cluster."""
    return Command("info", {}, InfoResult)


def _key(idempotency_key: str | None) -> dict[str, str]:
    return {} if idempotency_key is None else {"idempotency_key": checked_parameter("idempotency_key", idempotency_key)}
