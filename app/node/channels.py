"""The rules for names of channels. The name determines the namespace with its options, and which users may subscribe.

Specification: docs/channels.md. All functions are pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TypeAlias

from ...engines.base import HistoryOptions
from ..config.channel_options import ChannelOptions
from ..config.config import Config
from ..model.errors import NAMESPACE_NOT_FOUND, NOT_AVAILABLE, Error, Refused

MAX_CACHED = 10_000
"""Number of channels whose options are cached by name."""
MAX_CACHED_LENGTH = 255
"""Characters of a name that is cached, so that the cache remains small."""
MAX_NAMED = 10
"""Number of namespaces that the reason of a refusal lists."""

CachedOptions: TypeAlias = "tuple[ChannelOptions, HistoryOptions | None]"
"""The options of a channel, and of its history if it has one."""


class _OptionsByName(dict[str, CachedOptions]):
    """Caches the options of channels by name: a lookup takes a fifth of the time of applying the rules for names.

    When the cache is full, it is emptied, so that names which are used only once do not stay in it.
    """

    def __init__(self, find: Callable[[str], CachedOptions]) -> None:
        self._find = find

    def __missing__(self, channel: str) -> CachedOptions:
        found = self._find(channel)
        if len(channel) <= MAX_CACHED_LENGTH:
            if len(self) >= MAX_CACHED:
                self.clear()
            self[channel] = found
        return found


class ChannelRules:
    """The rules of one configuration. A reload of the configuration creates a new object.

    The namespaces `watched` have the option `watch`, whatever the configuration says.
    """

    def __init__(self, config: Config, watched: Collection[str] = ()) -> None:
        self._private_prefix = config.private_channel_prefix
        self._namespace_boundary = config.namespace_channel_boundary
        self._user_boundary = config.user_channel_boundary
        self._personal_namespace = config.user_personal_channel_namespace
        self._user_separator = config.user_channel_separator
        self._client_boundary = config.client_channel_boundary
        by_namespace: dict[str, ChannelOptions] = {"": config, **{space.name: space for space in config.namespaces}}
        for name in by_namespace.keys() & set(watched):
            by_namespace[name] = replace(by_namespace[name], watch=True)
        self._by_namespace: dict[str, CachedOptions] = {
            name: (options, history_options(options)) for name, options in by_namespace.items()
        }
        self._by_channel = _OptionsByName(self._find)
        self._known = _known_namespaces([space.name for space in config.namespaces])

    def namespace(self, channel: str) -> str:
        """Return the namespace: the name before the first boundary, without the private prefix; empty if none."""
        boundary = self._namespace_boundary
        if not boundary or boundary not in channel:
            return ""
        name, found, _ = channel.removeprefix(self._private_prefix).partition(boundary)
        return name if found else ""

    def options(self, channel: str) -> ChannelOptions:
        """Return the options of `channel`. Raises Refused with NAMESPACE_NOT_FOUND."""
        return self._by_channel[channel][0]

    def options_and_history(self, channel: str) -> CachedOptions:
        """Return the options of `channel` and of its history. Raises Refused with NAMESPACE_NOT_FOUND."""
        return self._by_channel[channel]

    def _find(self, channel: str) -> CachedOptions:
        found = self._by_namespace.get(self.namespace(channel))
        if found is None:
            namespace = self.namespace(channel)[:MAX_CACHED_LENGTH]
            raise Refused(NAMESPACE_NOT_FOUND, f"namespace {namespace!r} is not in option namespaces{self._known}")
        return found

    def refusal(self, error: Error, channel: str) -> Refused:
        """Return the exception for an error of a command in `channel`, with the reason if it is the name."""
        try:
            self.options(channel)
        except Refused as refused:
            return refused
        return Refused(error)

    def options_place(self, channel: str) -> str:
        """Return where the options of a channel are set, for log lines."""
        namespace = self.namespace(channel)
        return f"in namespace {namespace}" if namespace else "for channels without a namespace"

    def no_presence(self, channel: str) -> Refused:
        """Return the exception for a command that requires presence in a channel without it."""
        return Refused(NOT_AVAILABLE, f"option presence is off {self.options_place(channel)}")

    def no_history(self, channel: str) -> Refused:
        """Return the exception for a command that requires the history of a channel without one."""
        needed = "options history_size and history_lifetime must be more than 0"
        return Refused(NOT_AVAILABLE, f"{needed} {self.options_place(channel)}")

    def is_private(self, channel: str) -> bool:
        """Return whether a subscription needs a signature of the backend."""
        return bool(self._private_prefix) and channel.startswith(self._private_prefix)

    def allows_user(self, channel: str, user: str) -> bool:
        """Return whether `user` is in the list of users at the end of the name; True if there is no list."""
        if not self.names_users(channel):
            return True
        users = channel.rpartition(self._user_boundary)[2]
        return user in (users.split(self._user_separator) if self._user_separator else [users])

    def personal(self, user: str) -> str:
        """Return the personal channel of a user. Raises Refused if its namespace does not exist."""
        prefix = f"{self._personal_namespace}{self._namespace_boundary}" if self._personal_namespace else ""
        channel = f"{prefix}{self._user_boundary}{user}"
        self.options(channel)
        return channel

    def names_users(self, channel: str) -> bool:
        """Return whether the name of the channel ends with a list of users."""
        return bool(self._user_boundary) and self._user_boundary in channel

    def asks_backend(self, channel: str) -> bool:
        """Return whether a backend decides who subscribes without a token. Raises Refused with NAMESPACE_NOT_FOUND.

        Backends do not decide about private channels, and about channels of listed users that need no token.
        """
        options = self.options(channel)
        if not options.proxy_subscribe or self.is_private(channel):
            return False
        return not (options.allow_user_limited_channels and self.names_users(channel))

    def allows_client(self, channel: str, client: str) -> bool:
        """Return whether `client` is the client ID at the end of the name; True if there is none."""
        boundary = self._client_boundary
        return not boundary or boundary not in channel or client == channel.rpartition(boundary)[2]

    def reason_in_name(self, channel: str, user: str) -> str:
        """Return why the name of a channel does not let a client of `user` subscribe without a token, for the log."""
        if not self.allows_user(channel, user):
            return f"its name lists other users after {self._user_boundary} (option user_channel_boundary)"
        return f"its name has the ID of another client after {self._client_boundary} (option client_channel_boundary)"


def _known_namespaces(names: Sequence[str]) -> str:
    """Return which namespaces there are, as the end of a sentence; of many only the first ones."""
    if not names:
        return ", which is empty"
    return f" ({', '.join(names[:MAX_NAMED])}{', …' if len(names) > MAX_NAMED else ''})"


def history_options(options: ChannelOptions) -> HistoryOptions | None:
    """Return the options of the history of a channel with these options; None if it has no history."""
    if options.history_size <= 0 or options.history_lifetime <= 0:
        return None
    return HistoryOptions(
        options.history_size, options.history_lifetime, options.history_drop_inactive, options.history_meta_ttl
    )
