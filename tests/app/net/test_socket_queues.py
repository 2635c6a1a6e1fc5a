"""The queue sizes of a connection in the kernel."""

from __future__ import annotations

import socket

from gentrifugo.app.net.socket_queues import unacknowledged_bytes, unread_bytes
from tests.waiting import eventually


def test_bytes_in_send_and_receive_queue_are_counted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as peer:
        ours, _ = listener.accept()
        with ours:
            assert (unread_bytes(ours), unacknowledged_bytes(ours)) == (0, 0)
            peer.sendall(b"hello")
            eventually(lambda: unread_bytes(ours) == 5)
            ours.setblocking(False)
            sent = ours.send(b"x" * 10_000_000)  # more than the peer takes without reading
            assert 0 < unacknowledged_bytes(ours) <= sent


def test_closed_socket_has_no_queue_sizes() -> None:
    closed = socket.socket()
    closed.close()
    assert (unread_bytes(closed), unacknowledged_bytes(closed)) == (0, 0)
