"""The protocols of Centrifugo that can be measured, by their names on the command line."""

from __future__ import annotations

from benchmarks.protocols.base import Protocol
from benchmarks.protocols.v1 import V1
from benchmarks.protocols.v2 import V2
from benchmarks.protocols.v2_protobuf import V2Protobuf

PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for protocol in (V1(), V2(), V2Protobuf())}
