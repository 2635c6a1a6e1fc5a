"""Behaviour of the log of refused commands: what operators can read, and what peers cannot do to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gentrifugo.app.api.calls import MethodCalls
from gentrifugo.app.config.channel_options import Namespace
from gentrifugo.app.http.opening_request import Opening
from gentrifugo.app.model.errors import Refused
from gentrifugo.app.node import refusals
from gentrifugo.app.node.hooks import (
    CONNECT,
    PUBLISH,
    SUBSCRIBE,
    Context,
    DisconnectClient,
    Hook,
    Refuse,
    RPCError,
)
from gentrifugo.app.node.node import Node
from gentrifugo.app.node.refusals import MAX_LOGGED_REASONS, MAX_LOGGED_REFUSALS, Refusals
from gentrifugo.app.protocol.v1.api import CommandAPI
from gentrifugo.app.protocol.v2.connecting import NOTHING_SETS_USER
from gentrifugo.app.protocol.v2.token_making import connection_token, subscription_token
from tests.credentials import connect_params, jwt
from tests.fakes import FakeConnection
from tests.local_client import LocalClient
from tests.local_client_v2 import KEY, LocalClientV2

OPEN = Namespace(name="open", allow_subscribe_for_client=True, allow_presence_for_client=True)
FILTERED = Namespace(name="filtered", allow_subscribe_for_client=True, allow_tags_filter=True)

NO_PRESENCE = "option presence is off"
NO_HISTORY = "options history_size and history_lifetime must be more than 0"


@pytest.fixture
def node(start_node: Callable[..., Node]) -> Node:
    return start_node(token_hmac_secret_key=KEY, namespaces=(OPEN, FILTERED))


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level("INFO", refusals.log.name)
    return caplog


def line_of(client: LocalClient | LocalClientV2, text: str) -> str:
    return f"client {client.connection.uid} (user 'alice', address unknown): {text}"


# -- commands of clients


@pytest.mark.parametrize(
    ("method", "request_", "text"),
    [
        (
            "subscribe",
            {"channel": "missing:a"},
            "subscribe 'missing:a' refused with 'unknown channel': namespace 'missing' is not in option namespaces",
        ),
        (
            "subscribe",
            {"channel": "open:a#bob"},
            "subscribe 'open:a#bob' refused with 'permission denied': "
            "its name lists other users after # (option user_channel_boundary)",
        ),
        (
            "subscribe",
            {"channel": "open:a&bob"},
            "subscribe 'open:a&bob' refused with 'permission denied': "
            "its name has the ID of another client after & (option client_channel_boundary)",
        ),
        (
            "subscribe",
            {"channel": "open:a", "token": "nonsense"},
            "subscribe 'open:a' refused with 'permission denied': invalid subscription token: ",
        ),
        (
            "sub_refresh",
            {"channel": "open:a", "token": "nonsense"},
            "sub_refresh 'open:a' refused with 'permission denied': the client is not subscribed to the channel",
        ),
        (
            "publish",
            {"channel": "open:a"},
            "publish 'open:a' refused with 'bad request': the request has no data",
        ),
        (
            "presence",
            {"channel": "open:a"},
            f"presence 'open:a' refused with 'not available': {NO_PRESENCE} in namespace open",
        ),
        (
            "history",
            {"channel": "a"},
            f"history 'a' refused with 'not available': {NO_HISTORY} for channels without a namespace",
        ),
        (
            "rpc",
            {"method": "order"},
            "rpc refused with 'method not found': "
            "neither a function with @realtime.rpc nor option proxy_rpc_endpoint answers calls of 'order'",
        ),
        (
            "subscribe",
            {"channel": "open:a", "token": jwt(KEY, sub="alice", channel="open:a", exp=1)},
            "subscribe 'open:a' refused with 'token expired': token has expired: claim exp is ",
        ),
        (
            "subscribe",
            {"channel": "open:a", "tf": {"key": "lang", "cmp": "eq", "val": "de"}},
            "subscribe 'open:a' refused with 'bad request': "
            "a filter by tags, and option allow_tags_filter is off in namespace open",
        ),
        (
            "subscribe",
            {"channel": "filtered:a", "tf": {"op": "nor"}},
            "subscribe 'filtered:a' refused with 'bad request': invalid filter by tags: unknown operator",
        ),
        (
            "subscribe",
            {"channel": "open:a", "type": 1},
            "subscribe 'open:a' refused with 'permission denied': "
            "type 1 in the request, which asks for a map or a shared poll, is not supported",
        ),
        (
            "subscribe",
            {"channel": "open:" + "ä" * 126},
            f"subscribe 'open:{'ä' * 126}' refused with 'bad request': "
            "the name of the channel has 257 bytes, and option max_channel_length is 255",
        ),
    ],
)
def test_refused_command_of_version_2_is_logged_with_the_reason(
    node: Node, log: pytest.LogCaptureFixture, method: str, request_: dict[str, Any], text: str
) -> None:
    client = LocalClientV2.connected(node)
    assert "error" in client.call(method, **request_)
    (line,) = log.messages
    assert line.startswith(line_of(client, text))


@pytest.mark.parametrize(
    ("method", "params", "text"),
    [
        (
            "subscribe",
            {"channel": "missing:a"},
            "subscribe 'missing:a' refused with 'namespace not found': namespace 'missing' is not in option namespaces "
            "(open, filtered)",
        ),
        (
            "subscribe",
            {"channel": "a#bob"},
            "subscribe 'a#bob' refused with 'permission denied': "
            "its name lists other users after # (option user_channel_boundary)",
        ),
        (
            "subscribe",
            {"channel": "$a"},
            "subscribe '$a' refused with 'permission denied': missing signature for a private channel",
        ),
        (
            "subscribe",
            {"channel": "$a", "client": "other", "sign": "0" * 64},
            "subscribe '$a' refused with 'permission denied': invalid signature for a private channel",
        ),
        (
            "publish",
            {"channel": "open:b", "data": 1},
            "publish 'open:b' refused with 'permission denied': the client is not subscribed to the channel",
        ),
        (
            "publish",
            {"channel": "open:a", "data": 1},
            "publish 'open:a' refused with 'permission denied': option publish is off in namespace open",
        ),
        (
            "presence",
            {"channel": "open:a"},
            f"presence 'open:a' refused with 'not available': {NO_PRESENCE} in namespace open",
        ),
        (
            "history",
            {"channel": "open:a"},
            f"history 'open:a' refused with 'not available': {NO_HISTORY} in namespace open",
        ),
    ],
)
def test_refused_command_of_version_1_is_logged_with_the_reason(
    node: Node, log: pytest.LogCaptureFixture, method: str, params: dict[str, Any], text: str
) -> None:
    client = LocalClient.connected(node)
    client.subscribe("open:a")
    assert "error" in client.call(method, **params)
    assert log.messages == [line_of(client, text)]


def test_version_2_client_with_too_many_channels_is_logged_with_the_option(
    start_node: Callable[..., Node], log: pytest.LogCaptureFixture
) -> None:
    client = LocalClientV2.connected(start_node(token_hmac_secret_key=KEY, client_channel_limit=1, namespaces=(OPEN,)))
    client.subscribe("open:a")
    assert "error" in client.call("subscribe", channel="open:b")
    limit = "the client has as many channels as option client_channel_limit allows (1)"
    assert log.messages == [line_of(client, f"subscribe 'open:b' refused with 'limit exceeded': {limit}")]


def test_anonymous_user_of_version_1_is_logged_with_the_option(node: Node, log: pytest.LogCaptureFixture) -> None:
    assert "error" in LocalClient.connected(node, "").call("subscribe", channel="open:a")
    assert "(user '', address unknown)" in log.text
    assert "option anonymous is off in namespace open" in log.text


# -- connections


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("nonsense", "invalid token: "),
        (
            connection_token("another key", "alice"),
            "invalid token: invalid signature: made with another key than option ",
        ),
        ("", f"bad request: missing token, and {NOTHING_SETS_USER}"),
        (
            connection_token(KEY, "alice", channels=["missing:a"]),
            "unknown channel: cannot subscribe to 'missing:a': namespace 'missing' is not in option namespaces",
        ),
    ],
)
def test_refused_connection_of_version_2_is_logged(
    node: Node, log: pytest.LogCaptureFixture, token: str, why: str
) -> None:
    client = LocalClientV2(node)
    client.send({"id": 1, "connect": {"token": token}})
    (line,) = log.messages
    assert line.startswith(f"client {client.connection.uid} (user '', address unknown): connection refused: {why}")


def test_subscription_token_of_another_user_is_logged(node: Node, log: pytest.LogCaptureFixture) -> None:
    client = LocalClientV2.connected(node)
    client.send({"id": 9, "subscribe": {"channel": "open:a", "token": subscription_token(KEY, "bob", "open:a")}})
    assert "connection closed: invalid token: invalid token for 'open:a': token is for another user" in log.text


def test_different_mistakes_with_tokens_of_one_address_are_all_logged(
    node: Node, log: pytest.LogCaptureFixture
) -> None:
    for user, channel in [("bob", "open:a"), ("alice", "open:b"), ("bob", "open:a"), ("alice", "open:b")]:
        client = LocalClientV2.connected(node)
        client.send({"id": 9, "subscribe": {"channel": "open:a", "token": subscription_token(KEY, user, channel)}})
    for token in ("", "0" * 64, "", "0" * 64):
        old = LocalClient(node)
        old.send({"uid": "1", "method": "connect", "params": {"user": "alice", "timestamp": "1", "token": token}})
    texts = ("is for another user", "is for another channel", "missing token", "made with another secret")
    assert [sum(text in line for line in log.messages) for text in texts] == [1, 1, 1, 1]


def test_refused_connection_of_version_1_is_logged(node: Node, log: pytest.LogCaptureFixture) -> None:
    client = LocalClient(node)
    client.send({"uid": "1", "method": "connect", "params": {"user": "alice", "timestamp": "1", "token": ""}})
    assert "connection refused: invalid token: user 'alice': missing token; invalid timestamp '1'" in log.text


def test_expired_token_of_version_2_is_logged_with_its_user(node: Node, log: pytest.LogCaptureFixture) -> None:
    token = jwt(KEY, sub="alice", exp=1)
    LocalClientV2(node).send({"id": 1, "connect": {"token": token}})
    (line,) = log.messages
    assert "connect refused with 'token expired': token has expired: claim exp is " in line
    assert line.endswith("s ago, claim sub is 'alice'")


def test_connection_that_an_expired_token_cannot_refresh_is_logged(node: Node, log: pytest.LogCaptureFixture) -> None:
    client = LocalClientV2.connected(node)
    client.send({"id": 9, "refresh": {"token": jwt(KEY, sub="alice", exp=1)}})
    (line,) = log.messages
    closed = "connection closed: connection expired: refresh refused: token has expired: claim exp is "
    assert line.startswith(line_of(client, closed))


@pytest.mark.parametrize("method", ["connect", "refresh"])
def test_expired_token_of_version_1_is_logged_with_its_user(
    start_node: Callable[..., Node], log: pytest.LogCaptureFixture, method: str
) -> None:
    node = start_node(connection_lifetime=60)
    client = LocalClient(node) if method == "connect" else LocalClient.connected(node)
    assert client.call(method, **connect_params("alice", timestamp=1_000_000_000))["body"]["expired"]
    (line,) = log.messages
    assert f"{method} refused with 'expired': token of user 'alice' is " in line
    assert line.endswith(" s old, option connection_lifetime is 60 s")


def test_message_of_a_client_that_nothing_receives_is_logged(node: Node, log: pytest.LogCaptureFixture) -> None:
    client = LocalClientV2.connected(node)
    client.send({"send": {"data": 1}})
    closed = "connection closed: not available: no function with @realtime.on_message receives messages of clients"
    assert log.messages == [line_of(client, closed)]


def test_the_log_contains_no_expired_tokens(node: Node, log: pytest.LogCaptureFixture) -> None:
    log.set_level("DEBUG")
    token, subscribing = (
        jwt(KEY, sub="alice", exp=1),
        jwt(KEY, sub="alice", channel="open:a", exp=1),
    )
    LocalClientV2(node).send({"id": 1, "connect": {"token": token}})
    client = LocalClientV2.connected(node)
    client.call("subscribe", channel="open:a", token=subscribing)
    client.send({"id": 9, "refresh": {"token": token}})
    assert len(log.messages) >= 3
    for part in (token, subscribing):
        assert part.rpartition(".")[2] not in log.text


# -- hooks


def refuse_with_false(context: Context) -> bool:
    return False


def refuse_with_reason(context: Context) -> None:
    raise Refuse("go away")


def refuse_with_line_breaks(context: Context) -> None:
    raise Refuse("go\naway")


def refuse_with_code(context: Context) -> None:
    raise RPCError(409, "too late")


def disconnect(context: Context) -> None:
    raise DisconnectClient(4001, "enough")


HOOKS: list[tuple[Hook, str]] = [
    (refuse_with_false, "refused by the hook refuse_with_false for {}: permission denied"),
    (refuse_with_reason, "refused by the hook refuse_with_reason for {}: go away"),
    (refuse_with_line_breaks, "refused by the hook refuse_with_line_breaks for {}: 'go\\naway'"),
    (refuse_with_code, "refused by the hook refuse_with_code for {}: too late"),
    (disconnect, "disconnected by the hook disconnect for {}: enough"),
]


@pytest.mark.parametrize(("hook", "text"), HOOKS)
@pytest.mark.parametrize("version", [LocalClient, LocalClientV2])
def test_client_whose_connection_a_hook_refuses_is_logged_once(
    start_node: Callable[..., Node],
    log: pytest.LogCaptureFixture,
    version: type[LocalClient | LocalClientV2],
    hook: Hook,
    text: str,
) -> None:
    node = start_node(hooks={CONNECT: hook}, token_hmac_secret_key=KEY)
    client = version(node)
    if isinstance(client, LocalClient):
        client.send({"uid": "1", "method": "connect", "params": connect_params("alice")})
    else:
        client.send({"id": 1, "connect": {"token": connection_token(KEY, "alice")}})
    uid = client.connection.uid
    assert log.messages == [f"client {uid} (user 'alice', address unknown) {text.format('connect')}"]


@pytest.mark.parametrize(("hook", "text"), HOOKS)
@pytest.mark.parametrize("version", [LocalClient, LocalClientV2])
@pytest.mark.parametrize("event", [SUBSCRIBE, PUBLISH])
def test_command_that_a_hook_refuses_is_logged_once(
    start_node: Callable[..., Node],
    log: pytest.LogCaptureFixture,
    event: str,
    version: type[LocalClient | LocalClientV2],
    hook: Hook,
    text: str,
) -> None:
    namespace = Namespace(name="open", publish=True, allow_subscribe_for_client=True, allow_publish_for_subscriber=True)
    node = start_node(hooks={event: hook}, token_hmac_secret_key=KEY, namespaces=(namespace,))
    client = version.connected(node)
    if event == PUBLISH:
        client.subscribe("open:a")
    request = {"channel": "open:a"} if event == SUBSCRIBE else {"channel": "open:a", "data": 1}
    if isinstance(client, LocalClient):
        client.send({"uid": "9", "method": event, "params": request})
    else:
        client.send({"id": 9, event: request})
    uid = client.connection.uid
    assert log.messages == [f"client {uid} (user 'alice', address unknown) {text.format(event)}"]


def test_refusal_of_a_hook_is_logged_with_the_address_and_without_the_cookie(
    start_node: Callable[..., Node], log: pytest.LogCaptureFixture
) -> None:
    node = start_node(hooks={CONNECT: refuse_with_reason})
    opening = Opening("GET", "/?token=secret", {"cookie": "session=secret"}, "192.0.2.1")
    with pytest.raises(Refused):
        node.hooks.ask(Context(CONNECT, client="c1", opening=opening))
    refused = "client c1 (user '', address 192.0.2.1) refused by the hook refuse_with_reason for connect: go away"
    assert log.messages == [refused]


def test_reasons_of_a_hook_do_not_fill_the_log(start_node: Callable[..., Node], log: pytest.LogCaptureFixture) -> None:
    def refuse_by_name(context: Context) -> None:
        raise Refuse(f"not you, {context.user}")

    node = start_node(hooks={CONNECT: refuse_by_name})
    for number in range(3 * MAX_LOGGED_REFUSALS):
        opening = Opening("GET", "/", {}, f"192.0.2.{number}")
        with pytest.raises(Refused):
            node.hooks.ask(Context(CONNECT, user="alice" * (number + 1), opening=opening))
    assert len(log.messages) == MAX_LOGGED_REFUSALS


# -- limits


def test_further_refusals_of_a_client_are_logged_at_level_debug(node: Node, log: pytest.LogCaptureFixture) -> None:
    log.set_level("DEBUG", refusals.log.name)
    client = LocalClient.connected(node)
    for number in range(3):
        client.call("subscribe", channel=f"missing:{number}")
    assert [record.levelname for record in log.records] == ["INFO", "DEBUG", "DEBUG"]


def test_refusals_of_many_addresses_do_not_fill_the_log(node: Node, log: pytest.LogCaptureFixture) -> None:
    refused = Refusals()
    for number in range(3 * MAX_LOGGED_REFUSALS):
        client = FakeConnection(node.flusher, "c1", "alice")
        client.address = f"192.0.2.{number}"
        refused.note_client(client, "subscribe", "a", "permission denied", "reason")
    assert len(log.messages) == MAX_LOGGED_REFUSALS


def test_every_reason_of_an_address_is_logged_once(node: Node, log: pytest.LogCaptureFixture) -> None:
    client = LocalClientV2.connected(node)
    for number in range(2):
        client.call("subscribe", channel=f"missing:{number}")
        client.call("subscribe", channel=f"missing{number}:a")
        client.call("subscribe", channel=f"open:{number}#bob")
        client.call("subscribe", channel=f"open:{number}", token="nonsense")
        client.call("history", channel=f"open:{number}")
        LocalClientV2(node).send({"id": 1, "connect": {"token": f"nonsense{number}"}})
        LocalClientV2(node).send({"id": 1, "connect": {"token": connection_token(f"key {number}", "alice")}})
    assert len(log.messages) == 6


def test_number_of_reasons_is_limited(node: Node, log: pytest.LogCaptureFixture) -> None:
    refused, client = Refusals(), FakeConnection(node.flusher, "c1", "alice")
    for number in range(3 * MAX_LOGGED_REASONS):
        refused.note_closed(client, "reason " + "x" * number)
    assert len(log.messages) == MAX_LOGGED_REASONS + 1


def test_texts_of_a_peer_are_cut_in_the_log(node: Node, log: pytest.LogCaptureFixture) -> None:
    client = LocalClientV2.connected(node, "alice" * 1000)
    client.call("subscribe", channel="missing" * 30 + ":a")
    client.call("presence", channel="long" * 10_000 + ":\na")
    assert len(log.messages) == 2
    assert max(map(len, log.messages)) < 1000
    assert "\n" not in "".join(log.messages)


def test_error_without_a_detail_is_not_logged(node: Node, log: pytest.LogCaptureFixture) -> None:
    client = LocalClientV2.connected(node)
    client.subscribe("open:a")
    client.call("subscribe", channel="open:a")
    assert log.messages == []


# -- commands of backends


@pytest.mark.parametrize(("method", "detail"), [("presence", NO_PRESENCE), ("history", NO_HISTORY)])
def test_option_that_a_command_of_a_backend_needs_is_logged(
    node: Node, log: pytest.LogCaptureFixture, method: str, detail: str
) -> None:
    MethodCalls(node).by_name[method](b'{"channel":"open:a"}')
    assert log.messages == [f'refused a command "{method}" of a backend: {detail} in namespace open']


@pytest.mark.parametrize(("method", "detail"), [("presence", NO_PRESENCE), ("history", NO_HISTORY)])
def test_option_that_a_command_of_version_1_needs_is_logged(
    node: Node, log: pytest.LogCaptureFixture, method: str, detail: str
) -> None:
    CommandAPI(node).process(b'{"method":"%b","params":{"channel":"a"}}' % method.encode())
    assert log.messages == [f'refused a command "{method}" of a backend: {detail} for channels without a namespace']
