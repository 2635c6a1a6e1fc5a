"""The address of the client of a request, which only trusted proxies can report in headers."""

from __future__ import annotations

import pytest

from gentrifugo.app.http.client_address import MAX_LOGGED_PROXIES, TrustedProxies, ipv4_if_mapped, peer_with_ipv4

PROXY, OTHER_PROXY, CLIENT, STRANGER = "10.0.0.1", "10.0.0.2", "192.0.2.7", "198.51.100.9"


@pytest.mark.parametrize(
    ("peer", "headers", "address"),
    [
        (CLIENT, {}, CLIENT),
        (CLIENT, {"x-forwarded-for": STRANGER, "x-real-ip": STRANGER}, CLIENT),
        (PROXY, {}, PROXY),
        (PROXY, {"x-forwarded-for": CLIENT}, CLIENT),
        (PROXY, {"x-real-ip": CLIENT}, CLIENT),
        (PROXY, {"x-forwarded-for": CLIENT, "x-real-ip": CLIENT}, CLIENT),
        (PROXY, {"x-forwarded-for": f"{STRANGER}, {CLIENT}", "x-real-ip": CLIENT}, CLIENT),
        (PROXY, {"x-forwarded-for": CLIENT, "x-real-ip": STRANGER}, PROXY),
        (PROXY, {"x-forwarded-for": f"{CLIENT}, {STRANGER}", "x-real-ip": CLIENT}, PROXY),
        (PROXY, {"x-forwarded-for": f"{STRANGER}, {CLIENT}"}, CLIENT),
        (PROXY, {"x-forwarded-for": f"{STRANGER}, {CLIENT}, {OTHER_PROXY}"}, CLIENT),
        (PROXY, {"x-forwarded-for": f"{OTHER_PROXY}, {PROXY}"}, OTHER_PROXY),
        (PROXY, {"x-forwarded-for": "unknown"}, PROXY),
        (PROXY, {"x-forwarded-for": f"{CLIENT}, <script>"}, PROXY),
        (PROXY, {"x-forwarded-for": " , "}, PROXY),
        (f"::ffff:{PROXY}", {"x-forwarded-for": "2001:db8::7"}, "2001:db8::7"),
        (f"::ffff:{CLIENT}", {}, CLIENT),
        (f"::ffff:{CLIENT}", {"x-forwarded-for": STRANGER}, CLIENT),
        (PROXY, {"x-forwarded-for": f"::ffff:{CLIENT}, ::ffff:{OTHER_PROXY}"}, CLIENT),
        (PROXY, {"x-forwarded-for": CLIENT, "x-real-ip": f"::ffff:{CLIENT}"}, CLIENT),
        ("::1", {"x-real-ip": CLIENT}, CLIENT),
        ("fe80::1%eth0", {"x-real-ip": CLIENT}, "fe80::1%eth0"),
        ("", {"x-real-ip": CLIENT}, CLIENT),
    ],
)
def test_client_address_is_the_last_one_named_by_a_trusted_proxy(
    peer: str, headers: dict[str, str], address: str
) -> None:
    assert TrustedProxies("10.0.0.0/8, ::1, unix").address(peer, headers) == address


def test_a_unix_socket_is_trusted_when_it_is_listed() -> None:
    assert TrustedProxies("10.0.0.0/8").address("", {"x-real-ip": CLIENT}) == ""


@pytest.mark.parametrize(
    ("peer", "name", "item"),
    [(CLIENT, CLIENT, CLIENT), (f"::ffff:{CLIENT}", CLIENT, CLIENT), ("", "local socket", "unix")],
)
def test_ignored_headers_of_a_peer_are_logged_once_with_the_item_to_add(
    caplog: pytest.LogCaptureFixture, peer: str, name: str, item: str
) -> None:
    caplog.set_level("INFO")
    proxies = TrustedProxies("10.0.0.0/8")
    for header in ("x-forwarded-for", "x-real-ip", "x-forwarded-for"):
        proxies.address(peer, {header: STRANGER})
    assert caplog.messages == [
        f"ignoring the header X-Forwarded-For of requests from {name}, which is not in option trusted_proxies: "
        f"if it is your proxy, add {item} to this option; otherwise all clients behind it have its address "
        "(logged once)"
    ]


def test_ignored_headers_are_logged_for_each_peer_up_to_a_limit(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    proxies = TrustedProxies("10.0.0.0/8")
    for number in range(3 * MAX_LOGGED_PROXIES):
        proxies.address(f"192.0.2.{number}", {"x-real-ip": STRANGER})
    assert len(caplog.messages) == MAX_LOGGED_PROXIES
    assert "ignoring the header X-Real-IP of requests from 192.0.2.0," in caplog.messages[0]


def test_nothing_is_logged_of_trusted_proxies_and_of_requests_without_headers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    proxies = TrustedProxies("10.0.0.0/8")
    proxies.address(CLIENT, {})
    for hops in (CLIENT, f"{STRANGER}, {CLIENT}", "unknown"):
        proxies.address(PROXY, {"x-forwarded-for": hops})
    assert not caplog.messages


def test_empty_list_trusts_no_proxy() -> None:
    assert TrustedProxies("").address("127.0.0.1", {"x-real-ip": CLIENT}) == "127.0.0.1"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ((f"::ffff:{CLIENT}", 4711, 0, 0), (CLIENT, 4711)),
        (("2001:db8::7", 4711, 0, 0), ("2001:db8::7", 4711, 0, 0)),
        ((CLIENT, 4711), (CLIENT, 4711)),
        ("", ""),
    ],
)
def test_ipv4_peer_of_a_socket_for_both_families_has_its_ipv4_address(address: object, expected: object) -> None:
    assert peer_with_ipv4(address) == expected


@pytest.mark.parametrize("address", ["::ffff:0:1", "::ffff:0:192.0.2.7", "::ffff:c000:207", "2001:db8::7", CLIENT, ""])
def test_other_addresses_are_unchanged(address: str) -> None:
    assert ipv4_if_mapped(address) == address
