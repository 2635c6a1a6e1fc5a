"""The current options as operators see them: without secrets."""

from __future__ import annotations

from hashlib import blake2b

from .channel_options import ChannelOptions, Namespace
from .config import Config
from .options import options_of

MASKED_TEXT = "********"
"""The text shown in place of a secret."""


def visible_options(config: Config) -> dict[str, object]:
    """Return the current options by name, with secrets hidden; also `channel_options` in the form of v1."""
    values: dict[str, object] = {}
    for option in options_of(Config):
        value = getattr(config, option.name)
        values[option.name] = MASKED_TEXT if option.facts.secret and value else _plain(value)
    values["channel_options"] = {option.name: values[option.name] for option in options_of(ChannelOptions)}
    return values


def secret_marks(config: Config) -> dict[str, int]:
    """Return 16 bits of a hash of each secret that is set: enough to see that two differ, too few to find one."""
    return {
        option.name: int.from_bytes(blake2b(str(value).encode(), digest_size=2, person=b"gentrifugo").digest())
        for option in options_of(Config)
        if option.facts.secret and (value := getattr(config, option.name))
    }


def default_channel_options() -> dict[str, object]:
    """Return the options of a channel whose namespace sets none."""
    return {option.name: _plain(getattr(ChannelOptions(), option.name)) for option in options_of(ChannelOptions)}


def _plain(value: object) -> object:
    """Convert a value for JSON: whole seconds without a fraction, as in v1; namespaces as objects."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, tuple):
        return [{option.name: _plain(getattr(item, option.name)) for option in options_of(Namespace)} for item in value]
    return value
