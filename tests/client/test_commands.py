"""The functions that make commands have the names, parameters and results that the server declares."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from http import HTTPStatus
from types import MappingProxyType, ModuleType
from typing import Any

import msgspec
import pytest
from markupsafe import Markup
from msgspec import UNSET

from gentrifugo.app.api.methods import BATCH, COMMANDS, METHODS, Method
from gentrifugo.app.protocol.v1 import api, wire
from gentrifugo.client import commands, commands_v1
from gentrifugo.client.async_client import AsyncClient, AsyncClientV1
from gentrifugo.client.client import Client, ClientV1
from gentrifugo.client.command import Command, given_parameters
from gentrifugo.client.results import BoolValue, DisconnectReason, HistoryResult, Position, SubscribeOverride

VALUES: dict[str, Any] = {
    "channel": "news",
    "channels": ["news", "sport"],
    "user": "42",
    "data": {"text": "Grüße"},
    "b64data": "AAEC",
    "info": [1, None],
    "b64info": "AAEC",
    "skip_history": True,
    "tags": {"lang": "de"},
    "idempotency_key": "once",
    "delta": True,
    "version": 3,
    "version_epoch": "a",
    "client": "c1",
    "session": "s1",
    "expire_at": 1764000000,
    "expired": True,
    "recover_since": Position(3, "abcd"),
    "override": SubscribeOverride(presence=BoolValue(True), force_recovery=BoolValue(False)),
    "whitelist": ["c2"],
    "disconnect": DisconnectReason(4000, "go away"),
    "limit": -1,
    "since": Position(2, ""),
    "reverse": True,
    "pattern": "news*",
    "uid": "u1",
}
"""A value for each parameter of any method."""
V1_PARAMS: dict[str, type[msgspec.Struct] | None] = {
    "publish": wire.PublishParams,
    "broadcast": wire.BroadcastParams,
    "unsubscribe": wire.UserParams,
    "disconnect": wire.UserParams,
    "presence": wire.ChannelParams,
    "history": wire.ChannelParams,
    "channels": None,
    "stats": None,
    "node": None,
}
"""What the server decodes the parameters of each command of v1 as."""


def makers(module: ModuleType) -> dict[str, Callable[..., Command[Any]]]:
    """The functions of a module that make commands, by name."""
    functions = inspect.getmembers(module, inspect.isfunction)
    return {
        name: make
        for name, make in functions
        if str(make.__annotations__["return"]).startswith("Command[") and not name.startswith("_")
    }


def with_all_parameters(make: Callable[..., Command[Any]]) -> Command[Any]:
    return make(**{name: VALUES[name] for name in inspect.signature(make).parameters})


def structure(schema: Any) -> Any:
    """A JSON schema without descriptions, limits and titles: names, types, and which fields are required."""
    if isinstance(schema, dict):
        left_out = ("description", "title", "minimum", "maximum", "default")
        return {key: structure(value) for key, value in schema.items() if key not in left_out}
    return [structure(one) for one in schema] if isinstance(schema, list) else schema


def schemas(type_: Any) -> dict[str, Any]:
    """The structure of a type and of all types in it, by their names."""
    return {name: structure(schema) for name, schema in msgspec.json.schema_components([type_])[1].items()}


def public_methods(type_: type) -> set[str]:
    return {name for name in vars(type_) if not name.startswith("_")}


def test_each_method_of_the_api_has_a_function() -> None:
    assert sorted(makers(commands)) == sorted(method.name for method in COMMANDS)
    assert sorted(makers(commands_v1)) == sorted(api.API_COMMANDS)


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_clients_have_each_method_and_close(client: type) -> None:
    assert public_methods(client) == {method.name for method in METHODS} | {"close"}


@pytest.mark.parametrize("client", [ClientV1, AsyncClientV1])
def test_clients_of_v1_have_each_method_and_batches(client: type) -> None:
    assert public_methods(client) == api.API_COMMANDS | {"batch"}


@pytest.mark.parametrize("method", COMMANDS, ids=lambda method: method.name)
def test_a_function_has_the_parameters_of_its_method(method: Method) -> None:
    assert set(inspect.signature(makers(commands)[method.name]).parameters) == set(method.params.__struct_fields__)


@pytest.mark.parametrize("method", COMMANDS, ids=lambda method: method.name)
def test_the_server_decodes_all_parameters_of_a_command(method: Method) -> None:
    command = with_all_parameters(makers(commands)[method.name])
    decoded = msgspec.json.decode(msgspec.json.encode(command.params), type=method.params)
    assert command.method == method.name
    values = [getattr(decoded, name) for name in method.params.__struct_fields__]
    assert all(value is not None and value is not msgspec.UNSET for value in values)


@pytest.mark.parametrize("method", COMMANDS, ids=lambda method: method.name)
def test_a_result_has_the_fields_of_the_server_with_the_same_types(method: Method) -> None:
    result = makers(commands)[method.name]
    expected = schemas(method.result)
    if not expected[method.result.__name__]["properties"]:
        assert with_all_parameters(result).result is None
    else:
        assert schemas(with_all_parameters(result).result) == expected


def test_a_batch_has_the_parameters_of_the_server() -> None:
    expected = {"self", *BATCH.params.__struct_fields__} - {"group_publications"}  # which has no effect
    for client in (Client, AsyncClient):
        assert set(inspect.signature(client.batch).parameters) == expected


@pytest.mark.parametrize("name", sorted(api.API_COMMANDS))
def test_a_function_of_v1_has_the_parameters_of_its_command(name: str) -> None:
    params = V1_PARAMS[name]
    command = with_all_parameters(makers(commands_v1)[name])
    accepted = set() if params is None else set(params.__struct_fields__)
    if name == "disconnect":
        accepted.remove("channel")  # the command ignores it
    assert set(inspect.signature(makers(commands_v1)[name]).parameters) == accepted
    if params is not None:
        msgspec.json.decode(msgspec.json.encode(command.params), type=params)


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_help_shows_the_parameters_and_the_result(client: Any) -> None:
    signature = inspect.signature(client.presence)
    assert (list(signature.parameters), signature.return_annotation) == (["self", "channel"], "PresenceResult")
    assert client.presence.__doc__ == commands.presence.__doc__
    assert inspect.signature(client.subscribe).return_annotation == "None"


def test_parameters_that_are_not_given_are_not_sent() -> None:
    assert commands.publish("news", None).params == {"channel": "news", "data": msgspec.Raw(b"null")}
    assert given_parameters(user="", channel=None, limit=0, reverse=False) == {"limit": 0, "reverse": False}


@pytest.mark.parametrize("make", [commands.broadcast, commands_v1.broadcast])
def test_one_text_in_place_of_a_list_is_refused(make: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="channels: expected a list of strings"):
        make("news", 1)


WRONG: dict[str, list[Any]] = {
    "channel": [["a"], 5, b"a", "\ud800"],
    "channels": [5, [5], ["a", ""], "a", {"a": "b"}, b"a"],
    "user": [True, 1.5, b"42", ["42"], "\ud800", 10**5000],
    "b64data": [b"AAEC", "AAE", "not Base64", "_-8=", "ä"],
    "b64info": [b"AAEC", "AAE"],
    "skip_history": [1, "true"],
    "tags": [{"a": 1}, {1: "a"}, ["a"], "a"],
    "idempotency_key": [5],
    "delta": ["true"],
    "version": ["3", 1.5, True, -1, 2**63],
    "version_epoch": [1],
    "client": [1],
    "session": [1],
    "expire_at": ["1764000000", 1764000000.5, -1],
    "expired": [0],
    "recover_since": [3, (3, "abcd"), Position("3"), Position(-1)],  # type: ignore[arg-type]
    "override": [{"presence": True}, object(), 5],
    "whitelist": ["c2", [2], {"c2": 1}],
    "disconnect": [4000, DisconnectReason(5000), DisconnectReason("go away")],  # type: ignore[arg-type]
    "limit": ["10", True, -2, 2**31],
    "since": [{"offset": "2"}],
    "reverse": [1],
    "pattern": [5],
    "uid": [5],
}
"""Values that no method accepts for each parameter that is not any JSON."""
MAKERS = [*makers(commands).values(), *makers(commands_v1).values()]


@pytest.mark.parametrize("name", sorted(VALUES.keys() - {"data", "info"}))
def test_a_value_that_cannot_be_used_is_refused_with_its_name(name: str) -> None:
    for make in MAKERS:
        parameters = inspect.signature(make).parameters
        for value in (*WRONG[name], msgspec.Raw(b'"news"')) if name in parameters else ():
            with pytest.raises(ValueError, match=rf"^{name}: expected .*, not "):
                make(**{other: VALUES[other] for other in parameters} | {name: value})


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: f"{make.__module__}.{make.__name__}")
def test_a_required_channel_must_not_be_empty(make: Callable[..., object]) -> None:
    parameters = inspect.signature(make).parameters
    for name, parameter in parameters.items():
        if name in ("channel", "channels") and parameter.default is parameter.empty:
            nothings: list[Any] = ["", None, []]
            for nothing in nothings:
                with pytest.raises(ValueError, match=f"^{name}"):
                    make(**{other: VALUES[other] for other in parameters} | {name: nothing})


def test_the_id_of_a_user_may_be_a_number() -> None:
    assert commands.disconnect(42).params == commands_v1.disconnect(42).params == {"user": "42"}


def test_numbers_may_be_members_of_an_enumeration() -> None:
    assert commands.publish("news", 1, version=HTTPStatus.NOT_FOUND).params["version"] == 404
    assert commands.disconnect(HTTPStatus.NOT_FOUND).params == {"user": "404"}


def test_objects_may_be_mappings_and_lists_any_iterables() -> None:
    assert commands.history("news", since={"offset": 2}).params["since"] == Position(2)  # type: ignore[arg-type]
    assert commands.publish("news", 1, tags=MappingProxyType({"a": "b"})).params["tags"] == {"a": "b"}
    assert commands.broadcast(("news", "sport"), 1).params["channels"] == ["news", "sport"]


class Name(StrEnum):
    NEWS = "news"


@pytest.mark.parametrize("channel", [Markup("news"), Name.NEWS])
def test_subclasses_of_strings_are_sent_as_strings(channel: str) -> None:
    for command in (
        commands.publish(channel, 1),
        commands.broadcast([channel], 1, tags={channel: channel}),
        commands.history("news", since={"offset": 1, "epoch": channel}),  # type: ignore[arg-type]
        commands_v1.unsubscribe(channel, channel),
    ):
        assert "news" in msgspec.json.encode(command.params).decode()


def test_any_mapping_may_be_an_object() -> None:
    since: Any = MappingProxyType({"offset": 2})
    override: Any = MappingProxyType({"presence": MappingProxyType({"value": True})})
    assert commands.history("news", since=since).params["since"] == Position(2)
    given = commands.subscribe("42", "news", override=override).params["override"]
    assert given == SubscribeOverride(presence=BoolValue(True))


def test_an_unknown_field_of_an_object_is_refused_with_the_known_ones() -> None:
    wrong: Any = {"ofset": 2}
    with pytest.raises(
        ValueError, match=r"^since: unknown field 'ofset'; did you mean offset\? The fields are offset, ep"
    ):
        commands.history("news", since=wrong)
    wrong = {"presence": {"valeu": True}}
    with pytest.raises(ValueError, match=r"^override: unknown field 'valeu' in presence; did you mean value\?"):
        commands.subscribe("42", "news", override=wrong)
    wrong = MappingProxyType({5: 4000})
    with pytest.raises(ValueError, match=r"^disconnect: unknown field 5; the fields are code, reason$"):
        commands.disconnect("42", disconnect=wrong)


def test_objects_of_another_type_are_refused() -> None:
    wrong: Any = DisconnectReason(4000, "go away")
    with pytest.raises(ValueError, match=r"^since: unknown field 'code'"):
        commands.history("news", since=wrong)


@pytest.mark.parametrize("make", [commands.publish, commands.broadcast, commands_v1.publish, commands_v1.broadcast])
def test_a_publication_without_data_is_refused(make: Callable[..., object]) -> None:
    channels = "news" if make.__name__ == "publish" else ["news"]
    with pytest.raises(ValueError, match=r"^data is missing"):
        make(channels, UNSET)


def test_data_may_be_in_base64_only() -> None:
    assert commands.publish("news", b64data="AAEC").params == {"channel": "news", "b64data": "AAEC"}
    with pytest.raises(ValueError, match=r"^data is missing; give data or b64data"):
        commands.publish("news", b64data="")


@pytest.mark.parametrize("make", [commands_v1.disconnect, commands_v1.unsubscribe])
def test_a_user_of_v1_must_not_be_empty(make: Callable[..., object]) -> None:
    for nobody in ("", UNSET):
        with pytest.raises(ValueError, match=r"^user is empty"):
            make(nobody)


def test_an_empty_channel_ends_all_subscriptions_and_an_empty_user_stands_for_anonymous_users() -> None:
    assert commands_v1.unsubscribe("42", "").params == commands.unsubscribe("42", "").params == {"user": "42"}
    assert commands.disconnect("").params == {}


@pytest.mark.parametrize(
    "make",
    [
        commands.disconnect,
        commands.refresh,
        commands_v1.disconnect,
        commands_v1.unsubscribe,
        partial(commands.subscribe, channel="news"),
        partial(commands.unsubscribe, channel="news"),
    ],
)
def test_none_is_refused_as_a_user_instead_of_reaching_all_anonymous_users(make: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match=r"^user: expected a string or an integer, not None$"):
        make(user=None)


def test_the_result_of_history_is_accepted_as_a_position() -> None:
    page: Any = HistoryResult(publications=[], offset=7, epoch="e")
    assert commands.history("news", since=page).params["since"] == Position(7, "e")


def test_the_text_for_a_wrong_user_names_what_it_may_be() -> None:
    wrong: Any = 1.0
    with pytest.raises(ValueError, match=r"^user: expected a string or an integer, not 1\.0$"):
        commands.disconnect(wrong)
    with pytest.raises(ValueError, match=r"^user: expected a string or an integer, not an int that is too large"):
        commands.disconnect(10**5000)


def test_data_that_is_not_encodable_as_json_is_refused_with_its_name_when_the_command_is_created() -> None:
    with pytest.raises(TypeError, match=r"^data: .*object"):
        commands.publish("news", object())
    nested: list[Any] = []
    nested.append(nested)
    with pytest.raises(ValueError, match=r"^info: nested too deeply"):
        commands.refresh("42", info=nested)
    for wrong in ("\ud800", 10**5000, msgspec.Raw(b"{"), msgspec.Raw(b""), msgspec.Raw(b'"\xff"'), [msgspec.Raw(b"x")]):
        with pytest.raises(ValueError, match=r"^data: "):
            commands.publish("news", wrong)
        with pytest.raises(ValueError, match=r"^data: "):
            commands_v1.broadcast(["news"], wrong)


@pytest.mark.parametrize("type_", [bytes, bytearray, memoryview])
def test_bytes_are_refused_instead_of_sent_as_base64(type_: Callable[[bytes], object]) -> None:
    wrong = type_(b'{"text": 1}')
    text = (
        f"{type_.__name__} is not a value of JSON; pass the decoded value, or msgspec.Raw for JSON that is encoded al"
    )
    publishing: tuple[Callable[..., object], ...] = (commands.publish, partial(commands.subscribe, "42"))
    for make in publishing:
        with pytest.raises(TypeError, match=f"^data: {text}ready, or b64data for binary data$"):
            make("news", data=wrong)
    with pytest.raises(TypeError, match=r"^info: .*or b64info for binary data$"):
        commands.subscribe("42", "news", info=wrong)
    with pytest.raises(TypeError, match=f"^data: {text}ready$"):
        commands_v1.publish("news", wrong)
    with pytest.raises(TypeError, match=f"^data: {text}ready$"):
        commands_v1.broadcast(["news"], wrong)
    with pytest.raises(TypeError, match=r"^info: .* encoded already$"):
        commands.refresh("42", info=wrong)


def test_data_that_is_encoded_already_is_sent_unchanged() -> None:
    assert msgspec.json.encode(commands.publish("news", msgspec.Raw(b"[1, 2]")).params["data"]) == b"[1, 2]"
