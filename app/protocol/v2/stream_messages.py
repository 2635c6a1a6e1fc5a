"""The publications in the stream of a channel as messages of a reply: those that a client recovers, and the history."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Raw

from ....engines.base import StreamRecovery
from ...model.events import Publication as NodePublication
from ...model.payload import bytes_of
from ...runtime.yielding import iterate_yielding
from .deltas import DeltaSubscription
from .messages import Publication, SubscribeResult, client_info
from .tags_filter import TagsFilter


def recovery_result(
    found: StreamRecovery, offset: int, passes: TagsFilter | None, deltas: DeltaSubscription | None
) -> SubscribeResult:
    """Build the reply to a subscription that recovers from `offset`. May block. Raises NotJSON with deltas."""
    shown = message_of if deltas is None else deltas.recovered
    publications = passing(found.publications, passes)
    return SubscribeResult(
        recoverable=True,
        positioned=True,
        was_recovering=True,
        epoch=found.top.epoch,
        recovered=found.recovered,
        # The client increases the offset of its request with each publication that it receives.
        offset=offset if found.recovered else found.top.offset,
        publications=[shown(publication) for publication in iterate_yielding(publications)],
    )


def passing(publications: Iterable[NodePublication], passes: TagsFilter | None) -> list[NodePublication]:
    """Return the publications that pass a filter; all without a filter."""
    return list(publications) if passes is None else list(filter(passes, publications))


def message_of(publication: NodePublication) -> Publication:
    """Convert a publication of the node to the message for recovery and history."""
    return Publication(
        data=Raw(bytes_of(publication.data)),
        info=None if publication.info is None else client_info(publication.info),
        offset=publication.offset,
        tags=dict(publication.tags or {}),
        epoch=publication.epoch if publication.offset == 1 else "",
    )
