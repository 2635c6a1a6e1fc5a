"""A TLS connection that is read and written directly: sent data, received data, and calls that would block."""

from __future__ import annotations

import hashlib
import ssl
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from socket import SO_SNDBUF, SOL_SOCKET
from typing import Any, NamedTuple

import gevent
import pytest
from gevent.socket import socketpair
from gevent.ssl import SSLContext, SSLSocket

from gentrifugo.app.config.config import Config
from gentrifugo.app.net.direct_tls import RECORD, DirectTLS, RawTLS, direct, raw_of
from gentrifugo.app.tls.context import server_context
from tests.certificates import Certificate, make_certificate
from tests.greenlets import nothing_left_behind, settle
from tests.waiting import seconds

__all__ = ["nothing_left_behind"]

LARGE = bytes(range(256)) * 12_000
"""More than a socket takes at once."""
PART = 4096
"""A divisor of the size of LARGE."""


class Pair(NamedTuple):
    ours: SSLSocket
    peer: SSLSocket


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def pair(request: Any, certificate: Certificate, nothing_left_behind: None) -> Iterator[Pair]:
    config = Config(secret="s", ssl=True, ssl_cert=str(certificate.cert), ssl_key=str(certificate.key))
    client = SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    client.maximum_version = request.param
    one, other = socketpair()
    accepting = gevent.spawn(server_context(config).wrap_socket, one, server_side=True)
    peer = client.wrap_socket(other)
    made = Pair(accepting.get(timeout=seconds(5)), peer)
    yield made
    for side in made:
        side.close()


def test_buffered_tls_data_is_read_in_small_parts(pair: Pair) -> None:
    pair.peer.sendall(b"hello, world")
    reader = direct(pair.ours)
    assert isinstance(reader, DirectTLS)
    assert [reader.recv(5), reader.recv(100)] == [b"hello", b", world"]  # the rest has been decrypted already


def test_reading_waits_for_data(pair: Pair) -> None:
    reading = gevent.spawn(direct(pair.ours).recv, 100)
    settle()
    assert not reading.dead
    pair.peer.sendall(b"late")
    assert reading.get(timeout=seconds(5)) == b"late"


def test_recv_within_times_out_over_tls(pair: Pair) -> None:
    with pytest.raises(TimeoutError):
        direct(pair.ours).recv_within(100, 0.02)


@pytest.mark.parametrize("says_goodbye", [True, False])
def test_end_of_stream_stays_at_the_end(pair: Pair, says_goodbye: bool) -> None:
    if says_goodbye:
        direct(pair.peer).send_close_notify()
    with suppress(TimeoutError):  # session tickets that are not read would reset the connection
        direct(pair.peer).recv_within(100, 0.02)
    pair.peer.close()
    assert direct(pair.ours).recv(100) == b""


def test_reading_ends_when_the_socket_is_closed(pair: Pair) -> None:
    reading = gevent.spawn(error_of_reading, pair.ours)
    settle()
    pair.ours.close()
    assert isinstance(reading.get(timeout=seconds(5)), OSError)
    with pytest.raises(OSError, match="closed"):
        direct(pair.ours).raw.send(b"x")


def error_of_reading(ours: SSLSocket) -> OSError | None:
    try:
        direct(ours).recv(100)
    except OSError as error:
        return error
    return None


def test_invalid_tls_record_is_an_error(pair: Pair) -> None:
    pair.peer._sock.send(b"\x17\x03\x03\x00\x05garbage")  # type: ignore[attr-defined]
    with pytest.raises(ssl.SSLError):
        direct(pair.ours).recv(100)


def test_peeking_removes_no_data(pair: Pair) -> None:
    reader = direct(pair.ours)
    with pytest.raises(BlockingIOError):
        reader.peek()
    pair.peer.sendall(b"hello")
    gevent.sleep(0.01)
    assert (reader.peek(), reader.recv(100) + reader.recv(100)) == (b"h", b"hello")
    direct(pair.peer).send_close_notify()
    gevent.sleep(0.01)
    assert reader.peek() == b""


def test_sendall_waits_for_room(pair: Pair) -> None:
    writing = gevent.spawn(direct(pair.ours).sendall, LARGE)
    settle()
    assert not writing.dead
    assert read(pair.peer, len(LARGE)) == LARGE
    writing.get(timeout=seconds(5))


def test_sendall_takes_no_memory_for_the_rest_of_a_large_message(pair: Pair) -> None:
    """Otherwise a message of many megabytes for a slow peer would be copied after each part that the socket takes."""
    pair.ours.setsockopt(SOL_SOCKET, SO_SNDBUF, 4096)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        writing = gevent.spawn(direct(pair.ours).sendall, LARGE)
        digest = hashlib.sha256()
        for _ in range(len(LARGE) // PART):
            digest.update(read(pair.peer, PART))
        writing.get(timeout=seconds(5))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert digest.digest() == hashlib.sha256(LARGE).digest()
    assert peak - before < len(LARGE) / 4


def test_sendall_waits_no_longer_than_the_sockets_timeout(pair: Pair) -> None:
    pair.ours.settimeout(0.05)
    with pytest.raises(TimeoutError):
        direct(pair.ours).sendall(LARGE)


def test_full_socket_loses_and_repeats_no_data(pair: Pair) -> None:
    raw = raw_of(pair.ours)
    assert isinstance(raw, RawTLS)
    rest, full, got = LARGE, 0, b""
    while rest:
        try:
            rest = rest[raw.send(rest) :]
        except BlockingIOError:
            full += 1
            got += read(pair.peer, min(3 * RECORD, len(LARGE) - len(got)))
    assert full > 1
    assert got + read(pair.peer, len(LARGE) - len(got)) == LARGE


def test_data_after_a_partial_record_may_be_dropped_except_one_byte(pair: Pair) -> None:
    """The outbox of a slow client does this: it writes the rest of a partly sent frame, and then other frames."""
    raw = raw_of(pair.ours)
    data, sent = LARGE, 0
    while True:
        try:
            sent += raw.send(data[sent:])
        except BlockingIOError:
            break
    changed = data[sent : sent + 1] + b"close frame"
    got = b""
    while changed:
        got += read(pair.peer, RECORD)
        try:
            changed = changed[raw.send(changed) :]
        except BlockingIOError:
            continue
    got += read(pair.peer, sent + 12 - len(got))
    assert got == data[: sent + 1] + b"close frame"


def read(peer: SSLSocket, size: int) -> bytes:
    data = b""
    with gevent.Timeout(seconds(5)):
        while len(data) < size:
            data += peer.recv(size - len(data))
    return data


def test_plain_socket_is_read_directly_without_tls() -> None:
    one, other = socketpair()
    try:
        assert raw_of(one) is one._sock  # type: ignore[attr-defined]
        assert not isinstance(direct(one), DirectTLS)
    finally:
        one.close()
        other.close()


def test_single_byte_refused_by_a_full_socket_is_sent_once(pair: Pair) -> None:
    raw = direct(pair.ours).raw
    assert raw.fileno() == pair.ours.fileno()
    taken = 0
    with pytest.raises(BlockingIOError):
        while True:
            taken += raw.send(b"x")
    received = 0
    while received < taken:
        received += len(pair.peer.recv(RECORD))
    assert raw.send(b"x") == 1
    assert read(pair.peer, 1) == b"x"
    with pytest.raises(BlockingIOError):
        direct(pair.peer).peek()


def test_a_connection_that_is_closed_is_not_read(pair: Pair) -> None:
    reader = direct(pair.ours)
    pair.ours.close()
    with pytest.raises(OSError, match="the socket is closed"):
        reader.recv(100)
