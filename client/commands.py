"""The methods of the API with an API key, as functions that make commands.

`Client` and `AsyncClient` have a method with the parameters of each function. In a batch the functions themselves are
used. A parameter that is not given has the value that docs/api-v4.md names. User and client IDs are texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET

from .command import Command, Repeat, encoded, given
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
    """Publish `data`, anything that JSON can express, or `b64data`, bytes in Base64, into a channel.

    Without an `idempotency_key`, a client that retries makes one for each call. An empty text sends none: then a
    command that the server may have received is not sent again.
    """
    params = given(
        channel=channel,
        data=encoded(data),
        b64data=b64data,
        skip_history=skip_history,
        tags=tags,
        delta=delta,
        version=version,
        version_epoch=version_epoch,
    )
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
    """Publish the same into several channels; the result has an outcome for each. Parameters are those of `publish`.

    Raises TypeError if `channels` is a single text.
    """
    params = given(
        channels=listed("channels", channels),
        data=encoded(data),
        b64data=b64data,
        skip_history=skip_history,
        tags=tags,
        delta=delta,
        version=version,
        version_epoch=version_epoch,
    )
    return Command("broadcast", params | _key(idempotency_key), BroadcastResult, Repeat.WITH_KEY)


def subscribe(
    user: str,
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

    `info` is what others see of the subscriber, `data` what the client receives with the subscription. `expire_at` is
    in Unix seconds; 0 means never.
    """
    params = given(
        user=user,
        channel=channel,
        client=client,
        session=session,
        expire_at=expire_at,
        info=encoded(info),
        b64info=b64info,
        data=encoded(data),
        b64data=b64data,
        recover_since=recover_since,
        override=override,
    )
    return Command("subscribe", params)


def unsubscribe(
    user: str, channel: str = "", *, client: str | None = None, session: str | None = None
) -> Command[None]:
    """End the subscription of a user to a channel, or to all channels if it is empty."""
    return Command("unsubscribe", given(user=user, channel=channel, client=client, session=session))


def disconnect(
    user: str,
    *,
    client: str | None = None,
    session: str | None = None,
    whitelist: Sequence[str] | None = None,
    disconnect: DisconnectReason | None = None,
) -> Command[None]:
    """Close the connections of a user, except those whose client IDs are in `whitelist`.

    `disconnect` is the code and the reason that clients receive; without it they do not connect again.
    """
    names = None if whitelist is None else listed("whitelist", whitelist)
    params = given(user=user, client=client, session=session, whitelist=names, disconnect=disconnect)
    return Command("disconnect", params)


def refresh(
    user: str,
    *,
    client: str | None = None,
    session: str | None = None,
    expired: bool | None = None,
    expire_at: int | None = None,
    info: Any = UNSET,
) -> Command[None]:
    """Change when the connections of a user expire (Unix seconds, 0 for never), or close them as expired.

    `info` is what others see of the connections afterwards.
    """
    params = given(user=user, client=client, session=session, expired=expired, expire_at=expire_at, info=encoded(info))
    return Command("refresh", params)


def presence(channel: str) -> Command[PresenceResult]:
    """List the clients in a channel."""
    return Command("presence", given(channel=channel), PresenceResult)


def presence_stats(channel: str) -> Command[PresenceStatsResult]:
    """Count the connections and users in a channel."""
    return Command("presence_stats", given(channel=channel), PresenceStatsResult)


def history(
    channel: str, *, limit: int | None = None, since: Position | None = None, reverse: bool | None = None
) -> Command[HistoryResult]:
    """Read the history of a channel: at most `limit` publications, -1 for all. Without a limit only the position.

    With `since` only publications after this position, with `reverse` the newest first and those before it.
    """
    return Command("history", given(channel=channel, limit=limit, since=since, reverse=reverse), HistoryResult)


def history_remove(channel: str) -> Command[None]:
    """Delete the history of a channel. The next publication has the next offset."""
    return Command("history_remove", given(channel=channel))


def channels(pattern: str | None = None) -> Command[ChannelsResult]:
    """List the channels that have subscribers, and whose names match `pattern` if it is given."""
    return Command("channels", given(pattern=pattern), ChannelsResult)


def info() -> Command[InfoResult]:
    """Describe the nodes of the cluster."""
    return Command("info", {}, InfoResult)


def listed(name: str, texts: Sequence[str]) -> list[str]:
    """A list of texts for the parameter `name`. Raises TypeError for a single text, which is a sequence too."""
    if isinstance(texts, str):
        raise TypeError(f"{name}: expected a list of texts, not a single text")
    return list(texts)


def _key(idempotency_key: str | None) -> dict[str, str]:
    return {} if idempotency_key is None else {"idempotency_key": idempotency_key}
