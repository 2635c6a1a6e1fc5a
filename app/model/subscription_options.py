"""The options of a subscription that a token or a backend sets, and the fields in which they are written."""

from __future__ import annotations

from typing import Protocol

import msgspec
from msgspec import Raw


class SubscriptionOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """The options that a token or a backend sets for a subscription; None leaves an option of the channel unchanged."""

    info: bytes = b""
    """Sent to other clients as `chan_info`: JSON, or any bytes, which only clients of Protobuf can receive."""
    data: bytes = b""
    """Sent to the client in the reply: JSON, or any bytes, which only clients of Protobuf can receive."""
    presence: bool | None = None
    join_leave: bool | None = None
    force_recovery: bool | None = None
    force_positioning: bool | None = None
    force_push_join_leave: bool | None = None


UNCHANGED = SubscriptionOptions()
"""Options that leave the options of the channel unchanged."""


class BoolValue(msgspec.Struct):
    """A boolean value, wrapped so that false differs from missing."""

    value: bool | None = None


class SubscribeOverride(msgspec.Struct):
    """Options of the channel that are different for this subscription."""

    presence: BoolValue | None = None
    join_leave: BoolValue | None = None
    force_recovery: BoolValue | None = None
    force_positioning: BoolValue | None = None
    force_push_join_leave: BoolValue | None = None

    def values(self) -> dict[str, bool]:
        """Return the options that are given, by name."""
        given = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: bool(flag.value) for name, flag in given.items() if flag is not None}


class PayloadOf(Protocol):
    """Returns the payload in the field NAME or b64NAME, and raises an exception if it is invalid."""

    def __call__(self, name: str, json: Raw, encoded: str | None, /) -> bytes: ...


class OptionFields(msgspec.Struct):
    """The fields that set the options of a subscription, in claims of tokens and in results of backends."""

    info: Raw = Raw()
    b64info: str | None = None
    data: Raw = Raw()
    b64data: str | None = None
    override: SubscribeOverride | None = None

    def options(self, payload_of: PayloadOf) -> SubscriptionOptions:
        """Return the options in these fields."""
        return SubscriptionOptions(
            payload_of("info", self.info, self.b64info),
            payload_of("data", self.data, self.b64data),
            **({} if self.override is None else self.override.values()),
        )
