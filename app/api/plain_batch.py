"""The fast path for batches that contain only `publish`."""

from __future__ import annotations

import msgspec

from ..node.plain_publish import PlainPublish, are_plain, decode_plain


class _Command(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    publish: PlainPublish


class _Batch(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    commands: list[_Command]
    parallel: bool = False
    group_publications: bool = False
    """Accepted like `parallel`, but neither has an effect on publications."""


_batch = msgspec.json.Decoder(_Batch)


def decode_plain_batch(body: bytes) -> list[PlainPublish] | None:
    """Decode a batch that only publishes; None for other batches."""
    batch = decode_plain(_batch, body, b"publish")
    if batch is None:
        return None
    publishes = [command.publish for command in batch.commands]
    return publishes if are_plain(publishes) else None
