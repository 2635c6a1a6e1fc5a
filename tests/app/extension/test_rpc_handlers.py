"""Handlers of an application: calls and messages of clients of protocol version 2, and messages to them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, Literal, NamedTuple

import gevent
import msgspec
import pytest
from flask import Flask, Response, abort, current_app, redirect, request

from gentrifugo import CommandError, Context, DisconnectClient, Gentrifugo, Refuse, RPCError
from gentrifugo.app.extension.rpc_handlers import handler_hook
from gentrifugo.app.node.node import Node
from gentrifugo.app.views.mounted import UNDER_TEST
from tests.docs.pages import page
from tests.flask_sites import nothing_left_behind, site
from tests.local_client_v2 import KEY, LocalClientV2

__all__ = ["nothing_left_behind"]

pytestmark = pytest.mark.usefixtures("nothing_left_behind")

INTERNAL = {"code": 100, "message": "internal server error", "temporary": True}


def application(**config: Any) -> tuple[Flask, Gentrifugo]:
    app = site(TESTING=True, GENTRIFUGO_TOKEN_HMAC_SECRET_KEY=KEY, **config)
    return app, Gentrifugo(app)


def node_of(app: Flask) -> Node:
    node: Node = app.extensions[UNDER_TEST]().node
    return node


def connected(app: Flask, user: str = "alice") -> LocalClientV2:
    return LocalClientV2.connected(node_of(app), user)


def error_of(client: LocalClientV2, method: str, data: Any = None) -> Any:
    return client.call("rpc", method=method, data=data)["error"]


# -- rpc


def test_handler_answers_a_call_and_receives_the_user() -> None:
    app, realtime = application()

    @realtime.rpc("add")
    def add(context: Context, data: list[int]) -> dict[str, Any]:
        return {"sum": sum(data), "user": context.user, "method": context.method, "event": context.event}

    result = connected(app).call("rpc", method="add", data=[1, 2])
    assert result == {"data": {"sum": 3, "user": "alice", "method": "add", "event": "rpc"}}


@pytest.mark.parametrize("value", [None, False, 0, "", [1, 2], {"a": None}])
def test_a_handler_returns_any_json(value: object) -> None:
    app, realtime = application()
    realtime.rpc("get")(lambda context, data: value)
    assert connected(app).call("rpc", method="get") == {"data": value}


def test_a_tuple_is_a_list() -> None:
    app, realtime = application()
    realtime.rpc("get")(lambda context, data: (1, 404))
    assert connected(app).call("rpc", method="get") == {"data": [1, 404]}


def test_an_unknown_method_is_an_error() -> None:
    app, realtime = application()
    realtime.rpc("get")(lambda context, data: data)
    client = connected(app)
    for method in ("got", ""):
        assert error_of(client, method) == {"code": 104, "message": "method not found"}


@pytest.mark.parametrize("temporary", [False, True])
def test_a_handler_raises_an_error_of_its_own(temporary: bool, caplog: pytest.LogCaptureFixture) -> None:
    app, realtime = application()

    @realtime.rpc("get")
    def get(context: Context, data: Any) -> None:
        raise RPCError(404, "no such thing", temporary=temporary)

    expected = {"code": 404, "message": "no such thing", **({"temporary": True} if temporary else {})}
    assert error_of(connected(app), "get") == expected
    assert not caplog.records


@pytest.mark.parametrize("code", [0, 99, 2000])
def test_an_error_has_a_code_of_applications(code: int) -> None:
    with pytest.raises(ValueError, match=f"the code of an RPCError is {code}"):
        RPCError(code, "text")


@pytest.mark.parametrize("code", [1000, 5000])
def test_a_disconnect_has_a_close_code_of_applications(code: int) -> None:
    with pytest.raises(ValueError, match=f"a disconnect has the code {code}"):
        DisconnectClient(code, "text")


def test_a_disconnect_has_a_reason_that_fits_a_close_frame() -> None:
    DisconnectClient(4000, "ä" * 61)
    with pytest.raises(ValueError, match="longer than 123 bytes"):
        DisconnectClient(4000, "ä" * 62)


def test_handler_can_refuse_like_a_view() -> None:
    app, realtime = application()

    @realtime.rpc("refuse")
    def refuse(context: Context, data: Any) -> None:
        raise Refuse("members only")

    @realtime.rpc("abort")
    def abort_(context: Context, data: Any) -> None:
        abort(403)

    client = connected(app)
    assert error_of(client, "refuse") == {"code": 103, "message": "members only"}
    assert error_of(client, "abort") == {"code": 103, "message": "permission denied"}


def test_decorator_that_returns_a_response_refuses_the_call() -> None:
    app, realtime = application()

    def members_only(view: Any) -> Any:
        @wraps(view)
        def decorated(*arguments: Any) -> Response:
            return redirect("/login")  # type: ignore[return-value]

        return decorated

    @realtime.rpc("get")
    @members_only
    def get(context: Context, data: Any) -> None:
        raise AssertionError("called")

    assert error_of(connected(app), "get") == {"code": 103, "message": "permission denied"}


def test_a_decorator_may_add_an_argument() -> None:
    app, realtime = application()

    def add(context: Context, session: str, data: int) -> str:
        return f"{session} {data}"

    @wraps(add)
    def with_session(context: Context, data: int) -> str:
        return add(context, "s", data)

    assert realtime.rpc("add")(with_session) is with_session
    assert connected(app).call("rpc", method="add", data=1) == {"data": "s 1"}
    assert error_of(connected(app), "add", "one")["code"] == 107


def test_a_decorator_whose_function_cannot_take_the_data_is_refused() -> None:
    def add(context: Context, data: int) -> int:
        return data

    @wraps(add)
    def without_data(context: Context) -> int:
        return add(context, 1)

    with pytest.raises(TypeError, match="must take two arguments"):
        Gentrifugo().on_message(without_data)  # type: ignore[type-var]


def test_type_hint_behind_decorators_is_used() -> None:
    def passed_on(function: Any) -> Any:
        return wraps(function)(lambda *args: function(*args))

    class Adder:
        @passed_on
        def add(self, context: Context, data: int) -> int:
            return data + 1

        @passed_on
        def __call__(self, context: Context, data: int) -> int:
            return data + 2

    app, realtime = application()
    realtime.rpc("one")(Adder().add)
    realtime.rpc("two")(Adder())
    realtime.rpc("three")(passed_on(passed_on(Adder().add)))
    for method, result in {"one": 2, "two": 3, "three": 2}.items():
        assert connected(app).call("rpc", method=method, data=1) == {"data": result}
        assert error_of(connected(app), method, "one")["code"] == 107


def test_a_handler_disconnects_the_client() -> None:
    app, realtime = application()

    @realtime.rpc("kick")
    def kick(context: Context, data: Any) -> None:
        raise DisconnectClient(4321, "go away")

    client = connected(app)
    client.received()
    client.send({"id": 2, "rpc": {"method": "kick"}})
    assert client.close == (4321, "go away")
    assert client.received() == []


def test_a_handler_disconnects_its_own_user() -> None:
    app, realtime = application()
    realtime.rpc("leave")(lambda context, data: realtime.disconnect(context.user))
    client = connected(app)
    client.send({"id": 2, "rpc": {"method": "leave"}})
    assert client.close == (3503, "force disconnect")


def test_a_handler_that_fails_is_a_temporary_error_and_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    app, realtime = application()

    @realtime.rpc("get")
    def get(context: Context, data: Any) -> None:
        raise KeyError("missing")

    client = connected(app)
    assert [error_of(client, "get") for _ in range(3)] == [INTERNAL] * 3
    (record,) = caplog.records
    assert "get (rpc) failed" in record.getMessage()
    assert client.close is None


def test_result_that_is_not_encodable_as_json_is_a_temporary_error(caplog: pytest.LogCaptureFixture) -> None:
    app, realtime = application()
    realtime.rpc("get")(lambda context, data: object())
    assert error_of(connected(app), "get") == INTERNAL
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_handler_that_takes_too_long_is_a_temporary_error(caplog: pytest.LogCaptureFixture) -> None:
    app, realtime = application(GENTRIFUGO_HOOK_TIMEOUT=0.05)

    @realtime.rpc("get")
    def get(context: Context, data: Any) -> None:
        gevent.sleep(60)

    assert error_of(connected(app), "get") == INTERNAL
    (record,) = caplog.records
    assert "timeout after 0.05 s (option hook_timeout)" in record.getMessage()


def test_a_handler_runs_in_the_context_of_the_application() -> None:
    app, realtime = application()
    app.config["ANSWER"] = 42

    @realtime.rpc("get")
    def get(context: Context, data: Any) -> Any:
        return [current_app.config["ANSWER"], bool(request)]

    assert connected(app).call("rpc", method="get") == {"data": [42, False]}


def test_example_of_the_documentation_page_works() -> None:
    (block,) = [block for block in page("rpc.md").blocks if block.language == "python"]
    other = site(TESTING=True, GENTRIFUGO_TOKEN_HMAC_SECRET_KEY=KEY)
    exec(block.text, {"app": other, "STOCK": {"tea": 3}, "__name__": "__main__"})
    client = connected(other)
    assert client.call("rpc", method="order", data={"item": "tea", "amount": 2}) == {
        "data": {"user": "alice", "price": 6}
    }
    assert error_of(client, "order", {"item": "x"}) == {"code": 404, "message": "no such item"}
    assert "Expected `number`, got `string` - at `$.amount`" in page("rpc.md").path.read_text(encoding="utf-8")
    client.received()
    client.send({"send": {"data": {"page": 3}}})
    assert client.pushes() == [{"message": {"data": {"seen": {"page": 3}}}}]


# -- type hints


class Order(msgspec.Struct):
    item: str
    amount: int = 1


def test_data_is_decoded_to_the_type_hint() -> None:
    app, realtime = application()

    @realtime.rpc("order")
    def order(context: Context, data: Order) -> Order:
        return Order(data.item.upper(), data.amount + 1)

    assert connected(app).call("rpc", method="order", data={"item": "tea"}) == {"data": {"item": "TEA", "amount": 2}}


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"item": "tea", "amount": "x"}, "Expected `number`, got `string` - at `$.amount`"),
        ({"item": "tea", "amount": 1.5}, "Expected `integer`, got `number` - at `$.amount`"),
        ({"amount": 1}, "Object missing required field `item`"),
        (None, "Expected `object`, got `null`"),
    ],
)
def test_data_that_does_not_fit_the_type_hint_is_refused_and_the_error_says_why(data: Any, problem: str) -> None:
    app, realtime = application()

    @realtime.rpc("order")
    def order(context: Context, data: Order) -> None:
        raise AssertionError("called")

    assert error_of(connected(app), "order", data) == {"code": 107, "message": f"bad request: {problem}"}


class FrozenOrder(msgspec.Struct, frozen=True):
    item: str


class NamedOrder(NamedTuple):
    item: str


@dataclass
class DataOrder:
    item: str


@pytest.mark.parametrize(
    ("hint", "data", "read"),
    [
        (FrozenOrder, b'{"item":"%b"}', FrozenOrder("\ufffd")),
        (DataOrder, b'{"item":"%b"}', DataOrder("\ufffd")),
        (NamedOrder, b'["%b"]', NamedOrder("\ufffd")),
        (tuple[str, int], b'["%b",1]', ("\ufffd", 1)),
        (set[str], b'["%b"]', {"\ufffd"}),
        (dict[str, Any], b'{"item":["%b"]}', {"item": ["\ufffd"]}),
    ],
)
def test_half_of_a_surrogate_pair_is_read_as_a_replacement_character(hint: Any, data: bytes, read: Any) -> None:
    app, realtime = application()
    received: list[Any] = []

    def get(context: Context, data: Any) -> None:
        received.append(data)

    get.__annotations__["data"] = hint
    realtime.rpc("get")(get)
    client = connected(app)
    client.send(b'{"id":2,"rpc":{"method":"get","data":%b}}' % (data % b"\\ud800"))
    assert received == [read]


def test_an_error_shows_half_of_a_surrogate_pair_as_a_replacement_character() -> None:
    app, realtime = application()

    @realtime.rpc("get")
    def get(context: Context, data: Literal["a"]) -> None: ...

    client = connected(app)
    client.received()
    client.send(b'{"id":2,"rpc":{"method":"get","data":"\\ud800"}}')
    assert client.received()[0]["error"]["message"] == "bad request: Invalid enum value '\ufffd'"


def test_handler_receives_none_for_missing_data() -> None:
    app, realtime = application()

    @realtime.rpc("get")
    def get(context: Context, data: int | None) -> Any:
        return [data]

    client = connected(app)
    client.received()
    client.send({"id": 2, "rpc": {"method": "get"}})
    assert client.received() == [{"id": 2, "rpc": {"data": [None]}}]


def test_data_that_is_nested_too_deeply_is_refused() -> None:
    """In JSON the whole command is refused; in Protobuf the data are any bytes."""

    def typed(context: Context, data: list[Any]) -> None:
        raise AssertionError("called")

    def untyped(context: Context, data: Any) -> None:
        raise AssertionError("called")

    for handler in (typed, untyped):
        with pytest.raises(RPCError, match="nested too deeply") as raised:
            handler_hook("rpc get", handler)(Context("rpc", data=b"[" * 501 + b"]" * 501))
        assert raised.value.code == 107


# -- adding handlers


def test_a_method_has_one_handler() -> None:
    _, realtime = application()
    realtime.rpc("get")(lambda context, data: data)
    with pytest.raises(ValueError, match="rpc get has a handler already"):
        realtime.rpc("get")(lambda context, data: data)
    realtime.on_message(lambda context, data: None)
    with pytest.raises(ValueError, match="message has a handler already"):
        realtime.on_message(lambda context, data: None)


def test_a_decorator_without_a_method_is_an_error() -> None:
    _, realtime = application()
    with pytest.raises(TypeError, match="expected the name of a method"):
        realtime.rpc(lambda context, data: data)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected the name of a method"):
        realtime.rpc("")


def test_handler_must_take_two_arguments_and_not_be_a_coroutine() -> None:
    _, realtime = application()
    with pytest.raises(TypeError, match="must take two arguments: the context and the data"):
        realtime.rpc("get")(lambda context: None)  # type: ignore[type-var]

    async def later(context: Context, data: Any) -> None:
        """A coroutine, which would never be awaited."""

    with pytest.raises(TypeError, match="is a coroutine"):
        realtime.rpc("get")(later)


def test_a_type_hint_that_json_cannot_be_checked_by_is_an_error() -> None:
    _, realtime = application()

    def get(context: Context, data: list[int] | dict[str, int] | tuple[str, ...]) -> None:
        """An array may be either of two types."""

    with pytest.raises(TypeError):
        realtime.rpc("get")(get)


def test_a_type_hint_that_is_not_defined_in_the_module_is_an_error_that_says_where_to_define_it() -> None:
    _, realtime = application()

    class Local(msgspec.Struct):
        item: str

    def get(context: Context, data: Local) -> None:
        """A handler with a type that was defined in a function."""

    with pytest.raises(TypeError, match=r"handler .*get cannot be evaluated: name 'Local' is not defined\. Define or"):
        realtime.rpc("get")(get)


@pytest.mark.parametrize("hint", ["list[", "msgspec.Structure", "1 / 0"])
def test_a_type_hint_that_cannot_be_evaluated_is_an_error_that_names_the_handler(hint: str) -> None:
    _, realtime = application()

    def get(context: Context, data: Any) -> None:
        """A handler with a mistake in its type hint."""

    get.__annotations__["data"] = hint
    with pytest.raises(TypeError, match=r"the type hint of the data of handler .*get cannot be evaluated: "):
        realtime.rpc("get")(get)


def test_type_hint_of_a_partial_is_used() -> None:
    app, realtime = application()

    def get(amount: int, context: Context, data: int) -> int:
        return data + amount

    realtime.rpc("get")(partial(get, 2))
    client = connected(app)
    assert client.call("rpc", method="get", data=1) == {"data": 3}
    assert error_of(client, "get", "1")["code"] == 107


def test_type_hint_of_the_context_may_be_a_name_for_type_checkers_only() -> None:
    app, realtime = application()

    def get(context: OnlyForTypeCheckers, data: int) -> int:  # type: ignore[name-defined]  # noqa: F821
        return data + 1

    realtime.rpc("get")(get)
    assert connected(app).call("rpc", method="get", data=1) == {"data": 2}


def test_a_handler_that_is_added_too_late_is_an_error() -> None:
    app, realtime = application()
    node_of(app)
    with pytest.raises(RuntimeError, match=r"\(rpc get\) is registered too late"):
        realtime.rpc("get")(lambda context, data: data)


def test_an_object_can_be_a_handler() -> None:
    app, realtime = application()

    class Doubler:
        def __call__(self, context: Context, data: int) -> int:
            return 2 * data

    realtime.rpc("double")(Doubler())
    client = connected(app)
    assert client.call("rpc", method="double", data=4) == {"data": 8}
    assert error_of(client, "double", "x")["code"] == 107


# -- messages of clients


def test_messages_reach_the_handler_and_have_no_reply(caplog: pytest.LogCaptureFixture) -> None:
    app, realtime = application()
    seen: list[Any] = []

    @realtime.on_message
    def note(context: Context, data: int) -> None:
        seen.append((context.user, context.event, data))
        if data == 2:
            raise RPCError(400, "no")

    client = connected(app)
    client.received()
    client.send({"send": {"data": 1}}, {"send": {"data": "x"}}, {"send": {"data": 2}}, {"send": {"data": 3}})
    assert client.received() == []
    assert seen == [("alice", "message", 1), ("alice", "message", 2), ("alice", "message", 3)]
    assert client.close is None
    assert not caplog.records


def test_the_handler_of_messages_may_disconnect() -> None:
    app, realtime = application()

    @realtime.on_message
    def kick(context: Context, data: Any) -> None:
        raise DisconnectClient(4500, "enough")

    client = connected(app)
    client.send({"send": {"data": 1}}, {"send": {"data": 2}})
    assert client.close == (4500, "enough")


# -- messages to clients


def test_a_message_reaches_all_connections_of_a_user_or_one_client() -> None:
    app, realtime = application()
    first, second, other = connected(app), connected(app), connected(app, "bob")
    for client in (first, second, other):
        client.received()
    realtime.send("alice", {"a": 1})
    realtime.send("alice", 2, client=first.connection.uid)
    realtime.send(None, 3, client=second.connection.uid)
    realtime.send("bob", 4, client=second.connection.uid)
    realtime.send(42, 5)
    assert first.pushes() == [{"message": {"data": {"a": 1}}}, {"message": {"data": 2}}]
    assert second.pushes() == [{"message": {"data": {"a": 1}}}, {"message": {"data": 3}}]
    assert other.pushes() == []


def test_a_message_needs_a_receiver_and_json() -> None:
    _, realtime = application()
    for user in ("", None):
        with pytest.raises(ValueError, match="user and client are empty"):
            realtime.send(user, 1)
    with pytest.raises(TypeError):
        realtime.send("alice", object())
    with pytest.raises(TypeError):
        realtime.send(["alice"], 1)  # type: ignore[arg-type]


# -- subscriptions that the server makes


def test_a_site_subscribes_and_unsubscribes_clients() -> None:
    app, realtime = application(GENTRIFUGO_PRESENCE=True)
    first, second = connected(app), connected(app)
    first.received()
    realtime.subscribe("alice", "news", client=first.connection.uid, data={"why": 1}, info=[2])
    assert first.pushes() == [{"channel": "news", "subscribe": {"data": {"why": 1}}}]
    assert not second.connection.channels
    (present,) = realtime.presence("news").values()
    assert present.channel_info == [2]
    realtime.subscribe("alice", "chat")
    assert set(second.connection.channels) == {"chat"}
    first.received()
    realtime.unsubscribe("alice", "chat")
    ended = {"channel": "chat", "unsubscribe": {"code": 2000, "reason": "server unsubscribe"}}
    assert first.pushes() == [ended]
    assert (set(first.connection.channels), set(second.connection.channels)) == ({"news"}, set())


def test_a_subscription_needs_a_user_and_a_channel_that_may_exist() -> None:
    _, realtime = application()
    with pytest.raises(ValueError, match="user is empty"):
        realtime.subscribe("", "news")
    with pytest.raises(ValueError, match="channel is empty"):
        realtime.subscribe("alice", "")
    with pytest.raises(CommandError, match="namespace not found"):
        realtime.subscribe("alice", "missing:a")
