"""Subscriptions with deltas: they receive one full payload, and then the changes from each payload to the next.

A patch is created once for each publication and channel. It is sent only if it is shorter than the payload.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary, WeakValueDictionary

from msgspec import Raw

from ...model.events import Encoding, Event
from ...model.events import Publication as NodePublication
from ...model.payload import bytes_of, is_binary
from ...node.hub import Hub
from . import fossil_delta
from .encodings import event_encoder
from .format import Format, NotJSON
from .messages import Publication, client_info
from .unsendable import log_unsendable

FOSSIL = "fossil"
"""The only delta format."""
MAX_PATCHED_FOR_ONE = 1 << 20
"""Bytes of payloads for which patches are created for one recovering subscriber; further payloads are sent in full.

Creating these patches takes up to 0.2 s, and no other subscriber can use them.
"""


class DeltaChain:
    """The newest publication that a node has sent to the subscribers with deltas of one channel.

    All these subscribers share one chain, which stores one payload. It is discarded with the last of them.
    """

    __slots__ = ("__weakref__", "_before", "_newest", "_patch", "_publication")

    def __init__(self) -> None:
        self._publication: NodePublication | None = None
        self._newest: bytes | None = None
        self._before: bytes | None = None
        self._patch: bytes | None = None

    def add(self, publication: NodePublication) -> None:
        """Store the publication that is being broadcast. Has no effect if it is stored already."""
        if publication is not self._publication:
            self._publication = publication
            self._before, self._newest = self._newest, bytes_of(publication.data)
            self._patch = None

    def patch(self) -> bytes | None:
        """Return the patch from the previous publication to the newest one; None if the payload is not longer."""
        if self._before is not None and self._newest is not None:
            self._patch, self._before = shorter_patch(self._before, self._newest), None
        return self._patch

    def continues(self, data: bytes) -> bool:
        """Return whether a subscriber whose last payload is `data` can apply the next patch of this chain."""
        if self._newest is None:
            self._newest = data
        return self._newest == data


_chains: WeakKeyDictionary[Hub, WeakValueDictionary[str, DeltaChain]] = WeakKeyDictionary()


def find_or_create_chain(hub: Hub, channel: str) -> DeltaChain:
    """Return the chain that the subscribers of a channel on one node share; a new one if none of them uses deltas."""
    chains = _chains.setdefault(hub, WeakValueDictionary())
    chain = chains.get(channel)
    if chain is None:
        chain = chains[channel] = DeltaChain()
    return chain


@dataclass(frozen=True, slots=True)
class _DeltaPush:
    """Encodes the events of one channel. Objects that are equal return the same bytes."""

    chain: DeltaChain
    format: Format
    has_joins: bool
    is_full: bool
    """Whether payloads are sent in full, because the subscribers do not have the previous one."""

    def __call__(self, event: Event) -> bytes:
        if not isinstance(event, NodePublication):
            return event_encoder(self.format, self.has_joins)(event)
        self.chain.add(event)
        try:
            return _encode(self.format, event, None if self.is_full else self.chain.patch())
        except NotJSON:
            raise log_unsendable(event) from None


class DeltaSubscription:
    """One subscription with deltas. Encodes what this subscriber alone receives before live events."""

    __slots__ = ("_chain", "_format", "_last", "_left")

    def __init__(self, chain: DeltaChain, format_: Format) -> None:
        self._chain = chain
        self._format = format_
        self._last: bytes | None = None
        self._left = MAX_PATCHED_FOR_ONE

    def encoding(self, frame: Callable[[bytes], bytes], has_joins: bool) -> Encoding:
        """Return the encoding of live events that sends the next publication in full, and then patches."""
        full = _DeltaPush(self._chain, self._format, has_joins, is_full=True)
        return Encoding(full, frame, is_positioned=True, then=self.patched_encoding(frame, has_joins))

    def patched_encoding(self, frame: Callable[[bytes], bytes], has_joins: bool) -> Encoding:
        """Return the encoding of live events for a subscriber that has received the previous publication."""
        patched = _DeltaPush(self._chain, self._format, has_joins, is_full=False)
        return Encoding(patched, frame, is_positioned=True)

    def recovered(self, publication: NodePublication) -> Publication:
        """Convert a recovered publication to the message for the reply, as a patch if possible.

        Raises NotJSON. Call it in the order of the stream.
        """
        payload, is_delta = _payload(self._format, publication, self._next_patch(publication))
        return Publication(
            data=Raw(payload),
            info=None if publication.info is None else client_info(publication.info),
            offset=publication.offset,
            tags=dict(publication.tags or {}),
            delta=is_delta,
        )

    def push(self, publication: NodePublication) -> bytes:
        """Encode a publication that was held. Raises NotJSON. Call it in the order of the stream."""
        return _encode(self._format, publication, self._next_patch(publication))

    def go_live(self) -> bool:
        """Return whether the subscriber can apply the next patch of the channel to its last payload."""
        last, self._last = self._last, None
        return last is not None and self._chain.continues(last)

    def _next_patch(self, publication: NodePublication) -> bytes | None:
        before, self._last = self._last, bytes_of(publication.data)
        if before is None:
            return None
        self._left -= len(self._last)
        return shorter_patch(before, self._last) if self._left >= 0 else None


def shorter_patch(before: bytes, data: bytes) -> bytes | None:
    """Return the patch that changes one payload into the next one; None if it is not shorter than that payload."""
    patch = fossil_delta.create(before, data)
    return patch if patch is not None and len(patch) < len(data) else None


def _encode(format_: Format, publication: NodePublication, patch: bytes | None) -> bytes:
    payload, is_delta = _payload(format_, publication, patch)
    _, channel, _, _, info, tags, offset, _ = publication
    return format_.encode_publication(channel, payload, info, offset, tags=tags, delta=is_delta)


def _payload(format_: Format, publication: NodePublication, patch: bytes | None) -> tuple[bytes, bool]:
    """Encode a patch or full payload for a subscription with deltas; return whether it is a patch. Raises NotJSON."""
    data = publication.data
    if is_binary(data) and not format_.is_binary:
        raise NotJSON("data of a publication is not JSON")
    if patch is not None:
        return format_.delta_payload(patch), True
    return format_.delta_payload(bytes_of(data)), False
