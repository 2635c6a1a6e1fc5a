"""The functions that make commands have the names, parameters and results that the server declares."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import msgspec
import pytest

from gentrifugo.app.api.methods import BATCH, COMMANDS, METHODS, Method
from gentrifugo.app.protocol.v1 import api, wire
from gentrifugo.client import commands, commands_v1
from gentrifugo.client.async_client import AsyncClient, AsyncClientV1
from gentrifugo.client.client import Client, ClientV1
from gentrifugo.client.command import Command, given_parameters
from gentrifugo.client.results import BoolValue, DisconnectReason, Position, SubscribeOverride

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
    return {name: make for name, make in functions if str(make.__annotations__["return"]).startswith("Command[")}


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
    with pytest.raises(TypeError, match="channels: expected a list of strings"):
        make("news", 1)


def test_data_that_is_not_encodable_as_json_is_refused_when_the_command_is_created() -> None:
    with pytest.raises(TypeError):
        commands.publish("news", object())
    nested: list[Any] = []
    nested.append(nested)
    with pytest.raises(ValueError, match="nested too deeply"):
        commands.publish("news", nested)
