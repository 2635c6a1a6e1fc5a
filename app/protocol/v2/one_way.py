"""The messages of one-way connections in JSON: pushes that are not wrapped in replies.

The client sends a single ConnectRequest without a command around it. The reply to `connect` is a push, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from ...model.events import RawClientInfo
from .errors import CONNECTION_EXPIRED, ERROR_TOKEN_EXPIRED, INTERNAL_SERVER_ERROR, CodedDisconnect, CodedError
from .json_format import JSONFormat, decode_message
from .messages import Command, Connect, ConnectRequest, ConnectResult, Push, Reply

_REPLY_START, _REPLY_END = b'{"push":', b"}"
"""The bytes before and after a push in a reply."""
_request = msgspec.json.Decoder(ConnectRequest)


class OneWayFormat(JSONFormat):
    """JSON for clients that only listen."""

    is_one_way = True

    def decode_commands(self, frame: bytes) -> Iterator[Command]:
        """Yield the `connect` command with the request in `frame`. An empty frame counts as an empty request."""
        yield Command(1, connect=decode_message(_request, ConnectRequest, frame) if frame else ConnectRequest())

    def encode_reply(self, reply: Reply) -> bytes:
        """Encode the push in a reply, or the reply to `connect` as a push. There are no other replies."""
        push = reply.push
        if push is None:
            assert reply.connect is not None
            push = Push(connect=_connect(reply.connect))
        return self.encode_push(push)

    def encode_publication(
        self,
        channel: str,
        data: bytes,
        info: RawClientInfo | None = None,
        offset: int = 0,
        epoch: str = "",
        tags: Mapping[str, str] | None = None,
        delta: bool = False,
    ) -> bytes:
        """Encode a publication without the reply that contains it for other clients."""
        reply = super().encode_publication(channel, data, info, offset, epoch, tags, delta)
        return reply[len(_REPLY_START) : -len(_REPLY_END)]


ONE_WAY = OneWayFormat()


def disconnect_for(error: CodedError) -> CodedDisconnect:
    """Return the close code for an error of `connect`, because a one-way connection has no error replies."""
    return CONNECTION_EXPIRED if error is ERROR_TOKEN_EXPIRED else INTERNAL_SERVER_ERROR


def _connect(result: ConnectResult) -> Connect:
    """Return the push with the result of `connect`, without fields that only clients need that send commands."""
    return Connect(
        client=result.client,
        version=result.version,
        data=result.data,
        subs=result.subs,
        expires=result.expires,
        ttl=result.ttl,
        ping=result.ping,
        session=result.session,
        time=result.time,
    )
