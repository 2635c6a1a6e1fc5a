"""The protocols: encoding commands of clients and backends, and decoding messages of the server."""

from __future__ import annotations

import json

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.protobuf import length_delimited, number, varint
from benchmarks.protocols import PROTOCOLS
from benchmarks.protocols.base import Protocol, Published

V1, V2, PROTOBUF = PROTOCOLS["v1"], PROTOCOLS["v2"], PROTOCOLS["v2-protobuf"]
DATA = {"number": 1}


def framed(*replies: bytes) -> bytes:
    return b"".join(varint(len(reply)) + reply for reply in replies)


def pushed(field: int, push: bytes) -> bytes:
    return length_delimited(4, length_delimited(2, b"news") + length_delimited(field, push))


PUBLICATION = pushed(4, length_delimited(4, json.dumps(DATA).encode()))


@pytest.mark.parametrize(
    ("protocol", "payload"),
    [
        (V1, b'{"method":"message","body":{"channel":"news","data":{"number":1}}}'),
        (V2, b'{"push":{"channel":"news","pub":{"data":{"number":1}}}}'),
        (PROTOBUF, framed(PUBLICATION)),
    ],
    ids=PROTOCOLS,
)
def test_a_publication_is_read(protocol: Protocol, payload: bytes) -> None:
    assert list(protocol.publications(payload)) == [Published("news", DATA)]


@pytest.mark.parametrize(
    ("protocol", "payload"),
    [
        (V1, b'{"method":"join","body":{"channel":"news"}}'),
        (V2, b'{"push":{"channel":"news","join":{}}}'),
        (PROTOBUF, framed(pushed(5, b""))),
    ],
    ids=PROTOCOLS,
)
def test_other_pushes_are_refused(protocol: Protocol, payload: bytes) -> None:
    with pytest.raises(BenchmarkError, match="turn off option join_leave"):
        list(protocol.publications(payload))


@pytest.mark.parametrize(
    ("protocol", "payload"),
    [
        (V2, b'{"push":{"channel":"news","pub":{"data":{"number":1}}}}\n' * 2 + b"{}"),
        (PROTOBUF, framed(PUBLICATION, PUBLICATION, b"")),
    ],
    ids=["v2", "v2-protobuf"],
)
def test_several_messages_of_a_frame_are_read_and_pings_are_none(protocol: Protocol, payload: bytes) -> None:
    assert len(list(protocol.publications(payload))) == 2


@pytest.mark.parametrize(
    ("protocol", "confirmed", "refused", "error"),
    [
        (V1, b'{"uid":"subscribe","body":{}}', b'{"uid":"subscribe","error":"permission denied"}', ""),
        (V2, b'{"id":2,"subscribe":{}}', b'{"id":2,"error":{"code":103,"message":"permission denied"}}', "103 "),
        (
            PROTOBUF,
            framed(number(1, 2) + length_delimited(6, b"")),
            framed(number(1, 2) + length_delimited(2, number(1, 103) + length_delimited(2, b"permission denied"))),
            "103 ",
        ),
    ],
    ids=PROTOCOLS,
)
def test_a_reply_confirms_or_refuses_its_command(
    protocol: Protocol, confirmed: bytes, refused: bytes, error: str
) -> None:
    assert protocol.is_reply(confirmed, "subscribe")
    assert not protocol.is_reply(confirmed, "connect")
    with pytest.raises(BenchmarkError, match=f"^the reply to subscribe was the error {error}permission denied$"):
        protocol.is_reply(refused, "subscribe")


@pytest.mark.parametrize("protocol", [V1, V2], ids=["v1", "v2"])
def test_one_command_and_a_batch_are_different_requests(protocol: Protocol) -> None:
    command = protocol.command("100 %") % '{"number":1}'
    single, batch = (protocol.request([command] * count, "secret", "key") for count in (1, 3))
    assert '"channel":"100 %","data":{"number":1}' in single.body.decode()
    assert batch.body.decode().count(command) == 3
    assert json.loads(single.body) != json.loads(batch.body)


@pytest.mark.parametrize(
    ("protocol", "body", "count", "errors"),
    [
        (V1, b'[{"method":"publish","error":null}]', 1, []),
        (V1, b'[{"method":"publish","error":"internal server error"}]', 1, ["internal server error"]),
        (V2, b'{"result":{}}', 1, []),
        (V2, b'{"error":{"code":102}}', 1, [{"code": 102}]),
        (V2, b'{"replies":[{"publish":{}},{"error":{"code":102}}]}', 2, [{"code": 102}]),
    ],
)
def test_errors_of_the_api_are_found(protocol: Protocol, body: bytes, count: int, errors: list[object]) -> None:
    assert protocol.errors(body, count) == errors


@pytest.mark.parametrize(
    ("protocol", "body", "count"),
    [(V1, b"[]", 1), (V2, b"{}", 1), (V2, b"{}", 2), (V2, b'{"replies":[]}', 2), (V1, b"x", 1)],
    ids=["too few v1", "no result", "no replies", "too few v2", "no JSON"],
)
def test_responses_of_another_form_are_refused(protocol: Protocol, body: bytes, count: int) -> None:
    with pytest.raises((ValueError, LookupError)):
        protocol.errors(body, count)
