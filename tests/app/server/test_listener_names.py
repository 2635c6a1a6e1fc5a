"""The addresses of listening sockets, as the log shows them."""

from __future__ import annotations

import socket

import pytest

from gentrifugo.app.server.listener_names import address_of, other_addresses
from gentrifugo.app.server.listeners import listen


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this system has no IPv6")
def test_a_listener_for_ipv6_alone_shows_no_ipv4_address() -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6) as listener:
        assert address_of(listener) == f"[::1]:{listener.getsockname()[1]}"
        assert other_addresses(listener) == "all other IPv6 addresses of this machine"


def test_a_listener_for_ipv4_alone_shows_an_address_that_can_be_opened() -> None:
    with listen("0.0.0.0", 0) as listener:
        assert address_of(listener) == f"127.0.0.1:{listener.getsockname()[1]}"
        assert other_addresses(listener) == "all other IPv4 addresses of this machine"


@pytest.mark.parametrize(("address", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_a_single_address_is_shown_as_it_is_written_in_urls(address: str, shown: str) -> None:
    with listen(address, 0) as listener:
        assert address_of(listener) == f"{shown}:{listener.getsockname()[1]}"
        assert other_addresses(listener) == ""
