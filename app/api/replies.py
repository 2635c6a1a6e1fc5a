"""Encodes results, errors and replies as JSON.

The results of publishing are encoded directly, because batches have thousands of them; msgspec encodes all others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType

from ...engines.base import Stream
from ..model.errors import Error
from ..model.events import Publication, RawClientInfo, StreamPosition
from ..model.payload import json_of
from ..protocol.v2.errors import CodedError, error_of
from .messages import ClientInfo, HistoryResult, PresenceResult, StoredPublication

RequestOutcome: TypeAlias = StreamPosition | Error | None
"""The outcome of one publish request: a position, an error, or None if the publication is not stored in a history."""

_encode = msgspec.json.encode
EMPTY_RESULT = b"{}"
"""The result of a method that returns nothing, and of a publication that is not stored in a history."""


def encode_error(error: CodedError) -> bytes:
    """Encode an error as an object with code and message."""
    return b'{"code":%d,"message":%b}' % (error.code, _encode(error.message))


def encode_position(position: StreamPosition | None) -> bytes:
    """Encode the result of `publish`."""
    return (
        EMPTY_RESULT if position is None else b'{"offset":%d,"epoch":%b}' % (position.offset, _encode(position.epoch))
    )


def encode_outcome(outcome: RequestOutcome, name: bytes = b"result") -> bytes:
    """Encode the reply for one publication: an object with its result in the field `name`, or with an error."""
    if outcome is None:
        return b'{"%b":{}}' % name
    if isinstance(outcome, Error):
        return b'{"error":%b}' % encode_error(error_of(outcome))
    return b'{"%b":{"offset":%d,"epoch":%b}}' % (name, outcome[0], _encode(outcome[1]))


def encode_responses(outcomes: Sequence[RequestOutcome]) -> bytes:
    """Encode the result of `broadcast`."""
    return b'{"responses":[%b]}' % b",".join(map(encode_outcome, outcomes))


def encode_presence(presence: Mapping[str, RawClientInfo]) -> bytes:
    """Encode the result of `presence`."""
    return _encode(PresenceResult({client: _client_info(info) for client, info in presence.items()}))


def encode_history(stream: Stream) -> bytes:
    """Encode the result of `history`."""
    publications = [_encode_publication(publication) for publication in stream.publications]
    return _encode(HistoryResult(publications, stream.top.offset, stream.top.epoch))


def _encode_publication(publication: Publication) -> StoredPublication:
    info = None if publication.info is None else _client_info(publication.info)
    tags = None if publication.tags is None else dict(publication.tags)
    return StoredPublication(Raw(json_of(publication.data)), publication.offset, tags or None, info)


def _client_info(info: RawClientInfo) -> ClientInfo:
    return ClientInfo(info.user, info.client, _json(info.default_info), _json(info.channel_info))


def _json(data: bytes) -> Raw | UnsetType:
    return Raw(data) if data else UNSET
