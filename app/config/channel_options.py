"""The options of channels, which hold for a namespace or, at the top level, for all channels without one."""

from __future__ import annotations

from dataclasses import dataclass, field

from .options import described, matching, option

NAMESPACE_NAME = matching(r"[-a-zA-Z0-9_]{2,}", 'Must be two or more letters, digits, "-" or "_".')


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelOptions:
    """What a channel does. Channels without a namespace have the options of the top level."""

    watch: bool = option(False, "Show messages to operators who watch the channel in the admin interface.", reload=True)
    publish: bool = option(False, "Let clients publish to channels that they are subscribed to.", reload=True)
    anonymous: bool = option(False, "Let clients with an empty user ID subscribe.", reload=True)
    presence: bool = option(False, "Store who is subscribed, for the command presence.", reload=True)
    join_leave: bool = option(False, "Notify subscribers when a client subscribes or leaves.", reload=True)
    history_size: int = option(0, "Number of messages to keep per channel; 0 keeps none.", reload=True)
    history_lifetime: float = option(
        0, "How long a channel's history is kept after its last message; 0 keeps none.", unit="seconds", reload=True
    )
    recover: bool = option(
        False,
        "Send a returning client the messages it has missed; needs history_size and history_lifetime.",
        reload=True,
    )
    history_drop_inactive: bool = option(
        False,
        "Do not store messages while a channel has no subscribers and its history has not been used recently.",
        reload=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace(ChannelOptions):
    """Channel options for the channels whose names begin with `name` and the namespace boundary."""

    name: str = field(
        metadata=described("Unique name: two or more letters, digits, `-` or `_`.", check=NAMESPACE_NAME, reload=True)
    )
