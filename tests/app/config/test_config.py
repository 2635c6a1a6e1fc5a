"""Behaviour of the declared options: a `Config` created in code, and declarations that are complete."""

from __future__ import annotations

import dataclasses
import json
import re
import socket
from pathlib import Path

import pytest

from gentrifugo.app.config.channel_options import ChannelOptions, Namespace
from gentrifugo.app.config.config import Config
from gentrifugo.app.config.loading import load
from gentrifugo.app.config.options import Option, options_of


class TestConfig:
    def test_a_config_can_be_created_from_defaults(self) -> None:
        config = Config(secret="secret", namespaces=(Namespace(name="public", presence=True),))
        assert config.port == 8000
        assert config.namespaces[0].presence
        assert not config.presence

    def test_a_config_is_frozen(self) -> None:
        with pytest.raises(dataclasses.FrozenInstanceError):
            Config().port = 9000  # type: ignore[misc]

    def test_a_node_without_a_name_gets_one_from_host_and_port(self) -> None:
        assert Config(port=9000).name == f"{socket.gethostname()}_9000"
        assert Config(name="mine").name == "mine"

    def test_secrets_are_not_in_its_repr(self) -> None:
        config = Config(secret="s3cr3t", admin_password="s3cr3t", admin_secret="s3cr3t", redis_password="s3cr3t")
        assert "s3cr3t" not in repr(config)


DECLARING = (Config, Namespace)
OPTIONS = {f"{declaring.__name__}.{option.name}": option for declaring in DECLARING for option in options_of(declaring)}
SETTABLE = {option.name: option for option in options_of(Config) if option.name not in ("namespaces", "insecure")}
UNITS = {"", "seconds", "bytes", "messages"}


class TestEveryOption:
    """Requirements for each declaration, so that file, environment, flags, help and reference page agree."""

    @pytest.mark.parametrize("declaring", DECLARING)
    def test_option_is_declared_only_once(self, declaring: type) -> None:
        for base in declaring.__mro__[1:]:
            repeated = vars(base).get("__annotations__", {}).keys() & vars(declaring).get("__annotations__", {}).keys()
            assert not repeated
        names = [option.name for option in options_of(declaring)]
        assert len(names) == len(set(names)) == len(dataclasses.fields(declaring))

    @pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
    def test_option_name_is_valid_in_all_sources(self, option: Option) -> None:
        assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", option.name)

    @pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
    def test_option_has_a_known_type_and_a_default_of_that_type(self, option: Option) -> None:
        assert option.kind in ("boolean", "integer", "number", "string", "list of objects")
        if option.item_type:
            assert option.default == ()
        elif not option.is_required:
            assert type(option.default) is option.type or (option.type is float and type(option.default) is int)

    @pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
    def test_option_has_a_description_that_is_a_sentence(self, option: Option) -> None:
        about = option.facts.about
        assert re.match(r"[A-Z]", about)
        assert about.endswith(".")
        assert ". " not in about

    @pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
    def test_option_for_a_time_or_size_has_a_unit(self, option: Option) -> None:
        is_size = option.type is int and re.search(r"(_size|_length|_capacity)$", option.name)
        needs_unit = option.type is float or (is_size and option.name != "history_size")
        assert option.facts.unit in UNITS
        assert bool(option.facts.unit) == bool(needs_unit)

    def test_option_has_its_own_flag_variable_and_short_flag(self) -> None:
        options = options_of(Config)
        shorts = [option.facts.short for option in options if option.facts.short]
        assert len({option.flag for option in options}) == len(options)
        assert len({option.variable for option in options}) == len(options)
        assert len(set(shorts)) == len(shorts)

    @pytest.mark.parametrize("option", SETTABLE.values(), ids=SETTABLE)
    def test_option_can_be_set_in_file_environment_and_flag(self, option: Option, tmp_path: Path) -> None:
        file = tmp_path / "config.json"
        value = "a" if option.name == "secret" else option.default
        file.write_text(json.dumps({"insecure": True, option.name: value}))
        from_file = load([f"--config={file}"], {})
        file.write_text('{"insecure": true}')
        from_environment = load([f"--config={file}"], {option.variable: str(value)})
        from_flag = load([f"--config={file}", f"{option.flag}={value}"], {})
        for loaded in (from_file, from_environment, from_flag):
            assert getattr(loaded.config, option.name) == (value or getattr(Config(), option.name))
            assert not any("unknown" in warning for warning in loaded.warnings)

    @pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
    def test_option_with_secret_in_its_name_is_marked_as_secret(self, option: Option) -> None:
        if re.search(r"(secret|password)$", option.name):
            assert option.facts.secret

    def test_namespace_has_only_a_name_and_channel_options(self) -> None:
        shared = {option.name for option in options_of(ChannelOptions)}
        assert {option.name for option in options_of(Namespace)} == shared | {"name"}

    def test_option_belongs_to_a_group_with_a_title(self) -> None:
        titles = list(Config.GROUPS.values())
        assert len(set(titles)) == len(titles)
        assert all(titles)
