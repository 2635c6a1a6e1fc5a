"""Publishing for backends: converts parameters to calls of the node, for single publishes, broadcasts and batches."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence

from msgspec import Raw, UnsetType

from ...engines.base import PublishConditions
from ..model.errors import INVALID_MESSAGE, NO_CHANNEL, Error, Refused
from ..model.json_codec import MAX_NESTING, InvalidJSON, check_nesting
from ..model.payload import payload
from ..node.commands import PLAIN_PUBLISH, PUBLISH_BATCH_SIZE, PublishOptions, PublishRequest, RequestedPublish
from ..node.node import Node
from ..runtime.yielding import yield_if_due
from .messages import Published, PublishParams
from .replies import RequestOutcome


def publish_request(params: PublishParams) -> PublishRequest:
    """Convert the parameters of `publish` to a request to the node.

    Raises Refused with INVALID_MESSAGE if the channel is missing or the payload is invalid.
    """
    channel = params.channel
    if not channel:
        raise Refused(INVALID_MESSAGE, NO_CHANNEL)
    return PublishRequest(channel, published_data(params), "", "", publish_options(params))


def published_data(params: Published) -> bytes:
    """Return the payload in parameters, with the mark of payload.py if it is not JSON.

    Raises Refused with INVALID_MESSAGE if it is missing, not Base64, or nested too deeply.
    """
    if params.b64data:
        return payload(from_base64(params.b64data))
    return checked_json(params.data)


def checked_json(data: Raw | UnsetType) -> bytes:
    """Return the JSON in a parameter. Raises Refused if it is missing or nested deeper than MAX_NESTING."""
    if isinstance(data, UnsetType):
        raise Refused(INVALID_MESSAGE, "data is missing")
    text = bytes(data)
    if len(text) > MAX_NESTING:  # a shorter text cannot have more brackets than that
        try:
            check_nesting(text)
        except InvalidJSON:
            raise Refused(INVALID_MESSAGE, "a payload is nested too deeply") from None
    return text


def from_base64(text: str) -> bytes:
    """Decode a payload in Base64. Raises Refused with INVALID_MESSAGE if the text is not Base64."""
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise Refused(INVALID_MESSAGE, "a payload is not Base64") from None


def json_or_base64(data: Raw | UnsetType, text: str | None) -> bytes:
    """Return a payload in JSON or Base64; empty if neither is given.

    Raises Refused with INVALID_MESSAGE if it is not Base64, or nested too deeply.
    """
    if text:
        return from_base64(text)
    return b"" if isinstance(data, UnsetType) else checked_json(data)


def publish_options(params: Published) -> PublishOptions:
    """Return the options of one publish request, which are set by its parameters."""
    once = None
    if params.idempotency_key or params.version:
        once = PublishConditions(params.idempotency_key or "", params.version or 0, params.version_epoch or "")
    elif not params.tags and not params.skip_history:
        return PLAIN_PUBLISH
    return PublishOptions(params.tags or None, bool(params.skip_history), once)


def publish_in_groups(node: Node, requests: Sequence[RequestedPublish | Error]) -> list[RequestOutcome]:
    """Publish all requests, in order for each channel. Errors among them are returned at the same index."""
    outcomes: list[RequestOutcome] = []
    for start in range(0, len(requests), PUBLISH_BATCH_SIZE):
        group = requests[start : start + PUBLISH_BATCH_SIZE]
        requested = [request for request in group if not isinstance(request, Error)]
        published = node.publish_all(requested)
        if len(requested) == len(group):
            outcomes += published
        else:
            remaining = iter(published)
            outcomes += [request if isinstance(request, Error) else next(remaining) for request in group]
        yield_if_due()
    return outcomes
