"""Behaviour of the time that a peer has for a body: some seconds, and more for each received byte."""

from __future__ import annotations

from gentrifugo.app.net.read_allowance import MIN_RATE, ReadAllowance


def test_waiting_uses_up_the_allowance() -> None:
    allowance = ReadAllowance(10)
    allowance.note_waited(4)
    assert allowance.left == 6


def test_received_bytes_restore_the_allowance() -> None:
    allowance = ReadAllowance(10)
    allowance.note_waited(9)
    allowance.note_received(2 * MIN_RATE)
    assert allowance.left == 3


def test_a_fast_peer_may_pause_no_longer_than_at_the_beginning() -> None:
    allowance = ReadAllowance(10)
    allowance.note_received(1000 * MIN_RATE)
    assert allowance.left == 10


def test_a_peer_at_the_lowest_rate_is_never_too_slow() -> None:
    allowance = ReadAllowance(10)
    for _ in range(100):
        allowance.note_waited(5)
        allowance.note_received(5 * MIN_RATE)
    assert allowance.left == 10


def test_single_bytes_at_long_intervals_use_up_the_allowance() -> None:
    allowance = ReadAllowance(10)
    for _ in range(7):
        allowance.note_waited(1.5)
        allowance.note_received(1)
    assert allowance.left < 0
