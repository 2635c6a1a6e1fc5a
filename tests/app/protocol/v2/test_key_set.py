"""Key sets of other servers: when they are fetched, how long they are stored, and failed requests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from gentrifugo.app.http.outgoing import MAX_RESPONSE_SIZE
from gentrifugo.app.protocol.v2 import key_set
from gentrifugo.app.protocol.v2.key_set import KeySet
from gentrifugo.app.protocol.v2.token_keys import KeysUnavailable
from tests.fakes import FakeClock
from tests.hook_backend import slow_backend
from tests.token_keys import RSA_KEY, KeyServer, jwk, key_server
from tests.waiting import seconds


@pytest.fixture
def server() -> Iterator[KeyServer]:
    """A server with the keys a and b."""
    with key_server() as running:
        running.keys = [jwk("RS256", "a"), jwk("ES256", "b")]
        yield running


def test_one_request_fetches_all_keys(server: KeyServer) -> None:
    keys = KeySet(server.url)
    found = keys.find("a")
    assert found is not None
    assert found.material == RSA_KEY.public_key()
    assert keys.find("b") is not None
    assert server.requests == 1


def test_key_set_is_fetched_only_when_needed(server: KeyServer) -> None:
    KeySet(server.url)
    assert server.requests == 0


def test_unknown_keys_cause_one_request_in_ten_seconds(server: KeyServer) -> None:
    clock = FakeClock()
    keys = KeySet(server.url, clock)
    assert [keys.find(f"unknown {number}") for number in range(100)] == [None] * 100
    assert server.requests == 1
    clock.advance(key_set.MIN_REQUEST_INTERVAL)
    assert [keys.find(f"unknown {number}") for number in range(100)] == [None] * 100
    assert server.requests == 2


def test_a_new_key_is_found(server: KeyServer) -> None:
    clock = FakeClock()
    keys = KeySet(server.url, clock)
    assert keys.find("c") is None
    server.keys.append(jwk("EdDSA", "c"))
    assert keys.find("c") is None
    clock.advance(key_set.MIN_REQUEST_INTERVAL)
    assert keys.find("c") is not None


def test_a_removed_key_is_forgotten_after_an_hour(server: KeyServer) -> None:
    clock = FakeClock()
    keys = KeySet(server.url, clock)
    assert keys.find("a") is not None
    del server.keys[0]
    clock.advance(key_set.LIFETIME - 1)
    assert keys.find("a") is not None
    clock.advance(1)
    assert keys.find("a") is None
    assert server.requests == 2


def test_keys_stay_valid_while_the_server_fails(server: KeyServer) -> None:
    clock = FakeClock()
    keys = KeySet(server.url, clock)
    assert keys.find("a") is not None
    server.status = 500
    clock.advance(key_set.LIFETIME)
    assert keys.find("a") is not None
    with pytest.raises(KeysUnavailable, match="status 500"):
        keys.find("unknown")
    assert server.requests == 2


def test_request_to_a_failing_server_is_repeated_after_ten_seconds(server: KeyServer) -> None:
    clock = FakeClock()
    keys = KeySet(server.url, clock)
    server.status = 503
    for _ in range(20):
        with pytest.raises(KeysUnavailable):
            keys.find("a")
    assert server.requests == 1
    server.status = 200
    clock.advance(key_set.MIN_REQUEST_INTERVAL)
    assert keys.find("a") is not None


SHARING = """
from gevent import monkey; monkey.patch_all()
import sys
import gevent
from gentrifugo.app.protocol.v2.key_set import KeySet
keys = KeySet(sys.argv[1])
asking = [gevent.spawn(keys.find, "ab"[number % 2]) for number in range(20)]
gevent.joinall(asking)
print(sum(greenlet.value is not None for greenlet in asking))
"""


def test_greenlets_share_one_request_and_all_wait_for_it(server: KeyServer) -> None:
    """This runs in a separate process, where gevent has patched the sockets, so that other greenlets can run."""
    command = [sys.executable, "-c", SHARING, server.url]
    result = subprocess.run(command, capture_output=True, text=True, timeout=seconds(20))
    assert result.stdout == "20\n", result.stderr
    assert server.requests == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"keys":5}', b'{"keys":[5]}', b'{"keys":' + b"[" * 10_000])
def test_response_that_is_not_a_key_set_is_a_failure(server: KeyServer, body: bytes) -> None:
    server.body = body
    with pytest.raises(KeysUnavailable, match="not a JSON Web Key Set"):
        KeySet(server.url).find("a")


def test_size_of_a_key_set_response_is_limited(server: KeyServer) -> None:
    server.body = b" " * (MAX_RESPONSE_SIZE + 1)
    with pytest.raises(KeysUnavailable, match="larger than 1048576 bytes"):
        KeySet(server.url).find("a")


def test_the_number_of_keys_has_a_limit(server: KeyServer) -> None:
    server.keys = [{"kid": f"x{number}"} for number in range(key_set.MAX_KEYS - 1)] + server.keys
    keys = KeySet(server.url)
    assert keys.find("a") is not None
    assert keys.find("b") is None


def test_keys_without_kid_are_omitted(server: KeyServer) -> None:
    server.keys = [{**jwk("RS256", "a"), "kid": None}, {**jwk("RS256", "a"), "kid": 5}, jwk("RS256", "b")]
    keys = KeySet(server.url)
    assert keys.find("b") is not None
    assert keys.find("") is None


def test_redirects_are_not_followed(server: KeyServer) -> None:
    server.status = 302
    with pytest.raises(KeysUnavailable, match="status 302"):
        KeySet(server.url).find("a")
    assert server.requests == 1


def test_unreachable_server_is_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    with key_server() as gone:
        url = gone.url
    with pytest.raises(KeysUnavailable):
        KeySet(url).find("a")
    assert "token_jwks_public_endpoint: cannot fetch keys" in caplog.text


ASKING = """
from gevent import monkey; monkey.patch_all()
import sys
import gevent
from gentrifugo.app.protocol.v2.key_set import KeySet, KeysUnavailable
url, own, outer = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
try:
    with gevent.Timeout(outer):
        KeySet(url, timeout=own).find("a")
except (KeysUnavailable, gevent.Timeout) as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("own", "outer", "error"), [("0.3", "60", "no response within 0.3 s"), ("60", "0.3", "0.3 seconds")]
)
def test_response_without_an_end_ends_with_the_timeout(own: str, outer: str, error: str) -> None:
    """This runs in a separate process, where gevent has patched the sockets, so that it can interrupt a read."""
    with slow_backend() as endless:
        command = [sys.executable, "-c", ASKING, endless.url, own, outer]
        result = subprocess.run(command, capture_output=True, text=True, timeout=seconds(20))
    assert result.stdout == f"{error}\n", result.stderr
