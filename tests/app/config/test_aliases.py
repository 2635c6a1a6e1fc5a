"""Names of options in other versions of Centrifugo are accepted in all sources of options."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gentrifugo.app.config.aliases import without_aliases
from gentrifugo.app.config.channel_options import Namespace
from gentrifugo.app.config.config import Config
from gentrifugo.app.config.help_text import general_help
from gentrifugo.app.config.loading import LoadedConfig, from_mapping, load
from gentrifugo.app.config.options import ConfigError, Option, options_of

OPTIONS = options_of(Config)
ALIASES = [(alias, option.name) for option in OPTIONS for alias in option.facts.aliases]
OTHER_VALUES = {bool: True, int: 7, float: 7.0, str: "a.b"}


def other_value(name: str) -> Any:
    """A valid value of this option that is not its default."""
    option = next(each for each in OPTIONS if each.name == name)
    return OTHER_VALUES[option.type]


@pytest.fixture(autouse=True)
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def from_file(options: Mapping[str, Any], *argv: str, **environ: str) -> LoadedConfig:
    """The configuration of config.json with these options and a secret."""
    Path("config.json").write_text(json.dumps({"secret": "secret-of-a-test", **options}))
    return load(argv, environ)


def problems(options: Mapping[str, Any], *argv: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        from_file(options, *argv, **environ)
    return caught.value.problems


def test_every_alias_is_the_name_of_one_option() -> None:
    names = [name for option in OPTIONS for name in option.names]
    assert len(names) == len({*names})
    assert len(ALIASES) > 30


@pytest.mark.parametrize(("alias", "name"), ALIASES)
def test_every_alias_sets_its_option(alias: str, name: str) -> None:
    found = without_aliases(OPTIONS, {alias: 1, "port": 2})
    assert (found.values, found.written, found.unused) == ({name: 1, "port": 2}, {name: alias}, {})


@pytest.mark.parametrize("alias", ["history_ttl", "client_ping_interval", "client_user_connection_limit", "tls_cert"])
def test_an_alias_is_accepted_in_every_source(alias: str) -> None:
    name = dict(ALIASES)[alias]
    value = other_value(name)
    variable = {f"CENTRIFUGO_{alias.upper()}": str(value)}
    for loaded in (
        from_file({alias: value}),
        from_file({alias.upper(): value}),
        from_file({}, **variable),
        from_file({}, f"--{alias}={value}"),
        from_file({}, f"--{alias.replace('_', '-')}", str(value)),
        from_mapping({"secret": "secret-of-a-test", alias: value}),
    ):
        assert getattr(loaded.config, name) == value
        assert [warning for warning in loaded.warnings if "unknown" in warning or "not used" in warning] == []


def test_an_alias_of_a_boolean_needs_no_value_as_a_flag() -> None:
    assert from_file({"history_size": 1, "history_lifetime": 1}, "--force-recovery").config.recover


def test_aliases_are_accepted_in_namespaces() -> None:
    loaded = from_file(
        {"namespaces": [{"name": "news", "History_TTL": "5m", "history_size": 1, "force_recovery": True}]}
    )
    assert loaded.config.namespaces == (Namespace(name="news", history_lifetime=300, history_size=1, recover=True),)
    assert loaded.warnings == []


def test_later_source_takes_precedence_under_either_name() -> None:
    file = {"ping_interval": 1}
    assert from_file(file, CENTRIFUGO_CLIENT_PING_INTERVAL="2").config.ping_interval == 2
    assert from_file(file, "--client_ping_interval=3", CENTRIFUGO_PING_INTERVAL="2").config.ping_interval == 3


class TestTwoNamesOfOneOption:
    def test_own_name_takes_precedence_over_an_alias_with_a_warning(self) -> None:
        loaded = from_file({"ping_interval": 5, "client_ping_interval": 6, "websocket_ping_interval": 7})
        assert loaded.config.ping_interval == 5
        assert loaded.warnings == [
            f"config.json: {name}: not used, because ping_interval is set, too"
            for name in ("client_ping_interval", "websocket_ping_interval")
        ]

    def test_first_declared_alias_takes_precedence(self) -> None:
        loaded = from_file({"websocket_ping_interval": 7, "client_ping_interval": 6})
        assert loaded.config.ping_interval == 6
        assert loaded.warnings == [
            "config.json: websocket_ping_interval: not used, because client_ping_interval is set, too"
        ]

    def test_the_warning_has_the_place_of_the_value(self) -> None:
        loaded = from_file(
            {"namespaces": [{"name": "news"}, {"name": "chat", "recover": False, "force_recovery": True}]},
            "--ping_interval=1",
            "--client_ping_interval=2",
            CENTRIFUGO_MAX_CHANNEL_LENGTH="3",
            CENTRIFUGO_CHANNEL_MAX_LENGTH="4",
        )
        config = loaded.config
        assert (config.ping_interval, config.max_channel_length, config.namespaces[1].recover) == (1, 3, False)
        assert loaded.warnings == [
            "config.json: namespaces[1].force_recovery: not used, because namespaces[1].recover is set, too",
            "--client_ping_interval: not used, because ping_interval is set, too",
            "CENTRIFUGO_CHANNEL_MAX_LENGTH: not used, because max_channel_length is set, too",
        ]

    def test_the_warning_is_an_error_with_strict(self) -> None:
        assert problems({"recover": False, "force_recovery": True}, "--strict") == [
            "config.json: force_recovery: not used, because recover is set, too"
        ]


def test_error_for_an_invalid_value_contains_the_alias_that_was_used() -> None:
    namespaces = [{"name": "news"}, {"name": "chat", "history_ttl": "soon"}]
    found = problems({"namespaces": namespaces, "presence_ttl": -1}, "--tls=perhaps", CENTRIFUGO_CHANNEL_MAX_LENGTH="0")
    assert sorted(text.partition(": ")[0] for text in found) == [
        "--tls",
        "CENTRIFUGO_CHANNEL_MAX_LENGTH",
        "config.json",
        "config.json",
    ]
    assert [text for text in found if "presence_ttl: Must be" in text or "namespaces[1].history_ttl: Not" in text]


def test_option_of_another_version_without_alias_is_explained() -> None:
    assert from_file({"internal_port": "9000", "namespaces": [{"name": "news", "tls": True}]}).warnings == [
        "config.json: unknown option internal_port; set admin_port and api_port to this number, because the internal "
        "port is also for the API",
        "config.json: unknown option namespaces[0].tls",
    ]


def test_a_misspelt_alias_is_recognized() -> None:
    assert from_file({"histroy_ttl": 1}).warnings == [
        "config.json: unknown option histroy_ttl; did you mean history_ttl?"
    ]


def test_variables_of_kubernetes_set_no_alias() -> None:
    environ = {
        "CENTRIFUGO_SERVICE_HOST": "10.0.0.7",
        "CENTRIFUGO_PORT": "tcp://10.0.0.7:8000",
        "CENTRIFUGO_CHANNEL_MAX_LENGTH": "9",
    }
    loaded = from_file({"port": 9000}, **environ)
    assert (loaded.config.port, loaded.config.max_channel_length) == (9000, 9)
    assert loaded.warnings == [
        "ignoring the variables that Kubernetes sets for services: CENTRIFUGO_PORT, CENTRIFUGO_SERVICE_HOST"
    ]


def test_values_that_are_not_lists_of_objects_stay_unchanged() -> None:
    for value in ("news", {"name": "news"}, ["news", 7]):
        assert without_aliases(OPTIONS, {"namespaces": value}).values == {"namespaces": value}


def test_the_help_of_all_options_has_the_other_names() -> None:
    options: tuple[Option, ...] = OPTIONS
    text = " ".join(general_help({}, options, {}, everything=True).split())
    assert "0 sends no pings (default 25). Other names: --client_ping_interval, --websocket_ping_interval." in text
