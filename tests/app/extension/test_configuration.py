"""Where the options of a server in an application come from, and which place overrides which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gentrifugo import Gentrifugo
from gentrifugo.app.config.config import Config
from gentrifugo.app.config.options import ConfigError, options_of
from gentrifugo.app.extension.arguments import ARGUMENT_NAMES
from tests.flask_sites import service_in, site


def configured(arguments: dict[str, Any] | None = None, **config: Any) -> Config:
    """The configuration of a site with this in app.config, whose extension has these arguments."""
    app = site(**config)
    Gentrifugo(app, **(arguments or {}))
    return service_in(app).config


class TestSources:
    def test_options_are_in_the_config_of_the_application(self) -> None:
        config = configured(
            GENTRIFUGO_SECRET="mine", GENTRIFUGO_PING_INTERVAL=7, GENTRIFUGO_NAMESPACES=[{"name": "chat"}]
        )
        assert (config.secret, config.ping_interval, config.namespaces[0].name) == ("mine", 7, "chat")

    def test_keyword_arguments_override_a_mapping(self) -> None:
        options = {"ping_interval": 8, "max_channel_length": 9}
        config = configured({"config": options}, GENTRIFUGO_PING_INTERVAL=7)
        assert (config.ping_interval, config.max_channel_length) == (7, 9)

    def test_options_may_have_names_of_later_centrifugo_versions(self) -> None:
        config = configured({"config": {"channel_max_length": 9}}, GENTRIFUGO_CLIENT_PING_INTERVAL="1m30s")
        assert (config.ping_interval, config.max_channel_length) == (90, 9)
        with pytest.raises(ConfigError, match=r"app\.config: GENTRIFUGO_PRESENCE_TTL: Must be more than 0"):
            configured(GENTRIFUGO_PRESENCE_TTL=0)

    @pytest.mark.parametrize("kind", [str, Path])
    def test_options_may_be_in_a_file(self, tmp_path: Path, kind: type) -> None:
        file = tmp_path / "options.toml"
        file.write_text('secret = "of the file"\nping_interval = 9\n')
        config = configured({"config": kind(file)})
        assert (config.secret, config.ping_interval) == ("of the file", 9)

    def test_a_file_that_is_missing_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"nowhere\.json: not found"):
            configured({"config": tmp_path / "nowhere.json"})

    def test_the_environment_is_not_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CENTRIFUGO_PING_INTERVAL", "9")
        assert configured().ping_interval == Config().ping_interval

    def test_the_environment_can_fill_the_config_as_flask_does_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FLASK_GENTRIFUGO_PING_INTERVAL", "9")
        app = site()
        app.config.from_prefixed_env()
        Gentrifugo(app)
        assert service_in(app).config.ping_interval == 9


class TestWeakKeys:
    @pytest.mark.parametrize("key", ["change me", b"change me", "x" * 15])
    def test_short_key_of_the_application_is_a_warning(
        self, key: str | bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        configured(SECRET_KEY=key)
        (line,) = caplog.messages
        assert line.startswith('app.config["SECRET_KEY"] has fewer than 16 characters, so clients can guess it')
        assert str(key) not in line

    def test_short_secret_is_a_warning_as_for_the_command(self, caplog: pytest.LogCaptureFixture) -> None:
        configured(SECRET_KEY="x" * 16, GENTRIFUGO_SECRET="short")
        (line,) = caplog.messages
        assert line.startswith("option secret has fewer than 16 characters")

    def test_short_key_that_signs_nothing_for_clients_is_no_warning(self, caplog: pytest.LogCaptureFixture) -> None:
        configured(SECRET_KEY="short", GENTRIFUGO_SECRET="a" * 32, GENTRIFUGO_TOKEN_HMAC_SECRET_KEY="b" * 32)
        configured(SECRET_KEY="short", TESTING=True)
        configured(SECRET_KEY="x" * 16)
        assert caplog.messages == []


class TestPrefix:
    @pytest.mark.parametrize(
        ("arguments", "config", "prefix"),
        [
            ({}, {}, "/realtime"),
            ({"config": {"http_prefix": "/option"}}, {}, "/option"),
            ({"config": {"http_prefix": "/option"}, "url_prefix": "/argument"}, {}, "/argument"),
            ({"url_prefix": ""}, {}, ""),
            ({"url_prefix": "/argument"}, {"GENTRIFUGO_HTTP_PREFIX": "/app"}, "/app"),
        ],
        ids=["default", "option", "argument over option", "empty argument", "app.config over argument"],
    )
    def test_prefix_is_an_argument_or_an_option(
        self, arguments: dict[str, Any], config: dict[str, Any], prefix: str
    ) -> None:
        assert configured(arguments, **config).http_prefix == prefix


class TestIframePage:
    def test_iframe_page_is_served_only_with_the_option(self) -> None:
        assert not configured().sockjs_iframe
        assert configured({"config": {"sockjs_iframe": True}}).sockjs_iframe
        assert configured(GENTRIFUGO_SOCKJS_IFRAME=True).sockjs_iframe
        assert not configured({"config": {"sockjs_iframe": True}}, GENTRIFUGO_SOCKJS_IFRAME=False).sockjs_iframe


class TestSecret:
    def test_secret_is_derived_from_the_key_of_the_application(self) -> None:
        first, same, other = (configured(SECRET_KEY=key).secret for key in ("key", b"key", "other"))
        assert first == same != other
        assert "key" not in first

    def test_option_takes_precedence_over_the_derived_key(self) -> None:
        assert configured({"config": {"secret": "mine"}}).secret == "mine"

    def test_error_without_any_key_names_the_option_to_set(self) -> None:
        with pytest.raises(ConfigError, match=r'secret: not set in .*; set app\.config\["SECRET_KEY"\] before'):
            configured(SECRET_KEY=None)


class TestTokenKey:
    @pytest.mark.parametrize("keys", [{"SECRET_KEY": "a" * 32}, {"SECRET_KEY": None, "GENTRIFUGO_SECRET": "a" * 32}])
    def test_open_channels_cause_no_warning_because_hooks_may_accept_clients(
        self, keys: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        configured({"config": {"namespaces": [{"name": "chat", "allow_subscribe_for_client": True}]}}, **keys)
        assert caplog.messages == []

    def test_token_key_is_derived_from_the_key_of_the_application(self) -> None:
        first, same, other = (configured(SECRET_KEY=key).token_hmac_secret_key for key in ("key", b"key", "other"))
        assert first == same != other

    def test_token_key_differs_from_the_secret(self) -> None:
        config = configured(SECRET_KEY="key")
        assert len({config.secret, config.token_hmac_secret_key, "key"}) == 3

    def test_option_takes_precedence_over_the_derived_key(self) -> None:
        assert configured({"config": {"token_hmac_secret_key": "mine"}}).token_hmac_secret_key == "mine"
        assert configured(GENTRIFUGO_TOKEN_HMAC_SECRET_KEY="mine").token_hmac_secret_key == "mine"

    def test_no_key_for_tokens_is_derived_without_secret_key(self) -> None:
        assert configured({"config": {"secret": "secret"}}, SECRET_KEY=None).token_hmac_secret_key == ""


class TestMistakes:
    def test_error_for_an_invalid_value_names_its_source(self) -> None:
        with pytest.raises(ConfigError, match=r"app\.config: GENTRIFUGO_PING_INTERVAL: Must be a time"):
            configured(GENTRIFUGO_PING_INTERVAL="often")
        with pytest.raises(ConfigError, match=r"the options of Gentrifugo\(\.\.\.\): ping_interval"):
            configured({"config": {"ping_interval": "often"}})

    def test_application_can_be_initialized_again_after_an_invalid_value(self) -> None:
        rt, app = Gentrifugo(), site(GENTRIFUGO_PING_INTERVAL="often")
        with pytest.raises(ConfigError):
            rt.init_app(app)
        assert "gentrifugo" not in app.extensions
        app.config["GENTRIFUGO_PING_INTERVAL"] = 7
        rt.init_app(app)
        assert service_in(app).config.ping_interval == 7

    @pytest.mark.parametrize("name", ["ping_intervall", "PING_INTERVAL", "GENTRIFUGO_PING_INTERVAL"])
    def test_an_unknown_option_is_named_with_the_closest_known_one(
        self, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        configured({"config": {name: 1}})
        said = f"the options of Gentrifugo(...): unknown option {name}; did you mean ping_interval?"
        assert said in caplog.text

    def test_an_unknown_option_of_the_application_is_named_too(self, caplog: pytest.LogCaptureFixture) -> None:
        configured(GENTRIFUGO_PING_INTERVALL=1)
        assert (
            "app.config: unknown option GENTRIFUGO_PING_INTERVALL; did you mean GENTRIFUGO_PING_INTERVAL?"
            in caplog.text
        )

    def test_an_unknown_option_of_a_namespace_is_named_with_its_place(self, caplog: pytest.LogCaptureFixture) -> None:
        configured(GENTRIFUGO_NAMESPACES=[{"name": "chat", "presense": True}])
        assert "app.config: unknown option GENTRIFUGO_NAMESPACES[0].presense; did you mean presence?" in caplog.text

    @pytest.mark.parametrize(
        "name", ["CENTRIFUGO_ENGINE", "GENTIFUGO_ENGINE", "gentrifugo_engine", "GENTRIFUGO_engine", "GENTRIFUGO_Engine"]
    )
    def test_an_option_with_another_prefix_is_named_with_the_right_one(
        self, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        configured(None, **{name: "memory"})
        assert f"app.config: {name}: not used; the name of this option is GENTRIFUGO_ENGINE" in caplog.messages
        caplog.clear()
        configured(None, **{name: "memory", "GENTRIFUGO_ENGINE": "memory"})
        assert "not used" not in caplog.text

    def test_only_names_in_capitals_are_options(self, caplog: pytest.LogCaptureFixture) -> None:
        config = configured(GENTRIFUGO_ping_interval=7, GENTRIFUGO_ping_intervall=7)
        assert config.ping_interval == Config().ping_interval
        assert "app.config: GENTRIFUGO_ping_intervall: not used; names of options are in capitals" in caplog.messages

    @pytest.mark.parametrize("argument", ["config", "url_prefix", "endpoints"])
    def test_an_argument_in_the_config_of_the_application_is_pointed_out(
        self, argument: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        for name in (f"GENTRIFUGO_{argument.upper()}", f"GENTRIFUGO_{argument}", f"CENTRIFUGO_{argument.upper()}"):
            caplog.clear()
            configured(None, **{name: "/rt"})
            said = [text for text in caplog.messages if name in text]
            assert said == [f"app.config: {name}: not used; give {argument}= to Gentrifugo(...) instead"]

    @pytest.mark.parametrize("argument", ["config", "url_prefix", "endpoints"])
    def test_an_argument_among_the_options_is_pointed_out(
        self, argument: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        source = "the options of Gentrifugo(...)"
        for name in (argument, argument.upper()):
            caplog.clear()
            configured({"config": {name: "/rt"}})
            said = [text for text in caplog.messages if text.startswith(source)]
            assert said == [f"{source}: {name}: not used; give {argument}= to Gentrifugo(...) instead"]

    def test_keys_of_the_application_may_be_of_any_type(self, caplog: pytest.LogCaptureFixture) -> None:
        app = site()
        app.config.update({1: "one", ("GENTRIFUGO_ENGINE",): "redis"})
        Gentrifugo(app)
        assert "GENTRIFUGO" not in caplog.text

    def test_no_option_has_the_name_of_an_argument(self) -> None:
        names = {name for option in options_of(Config) for name in option.names}
        assert not names & ARGUMENT_NAMES

    @pytest.mark.parametrize("name", ["CENTRIFUGO_URL", "SQLALCHEMY_ENGINE", "REDIS_URL", "ENGINE", "DEBUG"])
    def test_nothing_is_said_about_names_of_other_extensions(self, name: str, caplog: pytest.LogCaptureFixture) -> None:
        configured(None, **{name: "1"})
        assert name not in caplog.text

    def test_a_mapping_of_options_in_the_config_of_the_application_is_pointed_out(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        configured(GENTRIFUGO={"engine": "memory"})
        warning = "app.config: GENTRIFUGO: not used; each option has a name of its own, such as GENTRIFUGO_ENGINE"
        assert f"{warning}; a mapping is given as Gentrifugo(app, config=…)" in caplog.messages

    def test_a_secret_key_of_a_wrong_type_is_an_error(self) -> None:
        with pytest.raises(ConfigError, match=r'app.config\["SECRET_KEY"\]: Must be a string or bytes, not int'):
            configured(SECRET_KEY=12345)
