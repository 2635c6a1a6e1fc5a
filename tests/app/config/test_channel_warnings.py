"""Behaviour of warnings about channel options: what is missing, and which clients cannot use a namespace."""

from __future__ import annotations

from typing import Any

import pytest

from gentrifugo.app.config.channel_options import Namespace
from gentrifugo.app.config.channel_warnings import LET_V2_RECOVER, channel_warnings
from gentrifugo.app.config.config import Config
from gentrifugo.app.config.loading import from_mapping, load
from gentrifugo.app.config.options import ConfigError

HISTORY = {"history_size": 8, "history_lifetime": 60}
NO_HISTORY = "has no effect without history_size and history_lifetime"
ASK_BACKEND = "a hook cannot allow it, but with {}proxy_subscribe a backend can"
NEED_TOKEN = f"only with a token for the channel; {ASK_BACKEND}"


def warnings_of(*namespaces: dict[str, Any], **options: Any) -> list[str]:
    """The warnings about channels with these options."""
    return list(channel_warnings(Config(secret="secret-of-a-test", namespaces=named(namespaces), **options)))


def warnings_with_key(*namespaces: dict[str, Any], **options: Any) -> list[str]:
    """The warnings about channels of a server that has a key for tokens of protocol v2."""
    return warnings_of(*namespaces, token_hmac_secret_key="key", **options)


def named(namespaces: tuple[dict[str, Any], ...]) -> tuple[Namespace, ...]:
    return tuple(Namespace(**{"name": "chat", **options}) for options in namespaces)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("allow_recovery", True),
        ("allow_positioning", True),
        ("force_positioning", True),
        ("allow_history_for_client", True),
        ("allow_history_for_subscriber", True),
        ("allow_history_for_anonymous", True),
        ("force_recovery_mode", "cache"),
        ("allowed_delta_types", "fossil"),
    ],
)
def test_options_that_need_a_history_cause_warnings_without_it(name: str, value: Any) -> None:
    assert warnings_of(**{name: value}) == [f"option {name} {NO_HISTORY}"]
    assert warnings_of({name: value}) == [f"option namespaces[0].{name} {NO_HISTORY}"]
    assert warnings_of({name: value, "allow_recovery": True, **HISTORY}) == []


@pytest.mark.parametrize("who", ["client", "subscriber", "anonymous"])
def test_options_that_need_presence_cause_warnings_without_it(who: str) -> None:
    name = f"allow_presence_for_{who}"
    assert warnings_of({name: True}) == [f"option namespaces[0].{name} has no effect without presence"]
    assert warnings_of({name: True, "presence": True}) == []


def test_force_push_join_leave_without_join_leave_causes_a_warning() -> None:
    assert warnings_of(force_push_join_leave=True) == ["option force_push_join_leave has no effect without join_leave"]
    assert warnings_of(force_push_join_leave=True, join_leave=True) == []


@pytest.mark.parametrize("size", [1, 8])
def test_the_newest_message_can_be_recovered_from_a_history_of_any_size(size: int) -> None:
    options = {"recover": True, "force_recovery_mode": "cache", "history_size": size, "history_lifetime": 60}
    assert warnings_of(options) == []


def test_mode_of_recovery_causes_a_warning_where_no_option_lets_clients_recover() -> None:
    needs = (
        "has no effect without recover or allow_recovery: clients of protocol v2 recover nothing, unless a token "
        "or the API overrides force_recovery"
    )
    options = {"force_recovery_mode": "cache", **HISTORY}
    assert warnings_of(options) == [f"option namespaces[0].force_recovery_mode {needs}"]
    assert warnings_of(**options) == [f"option force_recovery_mode {needs}"]
    assert warnings_of({**options, "force_recovery_mode": "stream"}) == []


@pytest.mark.parametrize("right", LET_V2_RECOVER)
def test_mode_of_recovery_causes_no_warning_where_an_option_lets_clients_recover(right: str) -> None:
    assert warnings_of({"force_recovery_mode": "cache", right: True, **HISTORY}) == []


def test_mode_of_recovery_causes_no_warning_where_a_backend_may_let_clients_recover() -> None:
    options = {"force_recovery_mode": "cache", **HISTORY}
    backend = "http://localhost/ask"
    asked = {**options, "proxy_subscribe": True}
    assert warnings_of(asked, proxy_subscribe_endpoint=backend) == []
    assert warnings_of(options, proxy_connect_endpoint=backend) == []


class TestClientsOfProtocolV2:
    def test_namespace_without_client_permissions_is_a_warning(self) -> None:
        assert warnings_with_key({"publish": True}) == [
            "option namespaces[0].allow_subscribe_for_client is off: clients of protocol v2 can subscribe to channels "
            f"of the namespace chat {NEED_TOKEN.format('namespaces[0].')}"
        ]

    def test_top_level_without_client_permissions_is_a_warning(self) -> None:
        assert warnings_with_key(presence=True) == [
            "option allow_subscribe_for_client is off: clients of protocol v2 can subscribe to channels without a "
            f"namespace {NEED_TOKEN.format('')}"
        ]
        assert warnings_with_key() == []

    @pytest.mark.parametrize(
        "right",
        [
            {"allow_subscribe_for_client": True},
            {"allow_subscribe_for_anonymous": True},
            {"allow_user_limited_channels": True},
            {"allow_publish_for_subscriber": True},
            {"force_positioning": True, **HISTORY},
        ],
    )
    def test_one_client_permission_prevents_the_warning(self, right: dict[str, Any]) -> None:
        assert warnings_with_key(right) == []

    def test_no_warning_if_clients_of_v2_cannot_connect(self) -> None:
        assert warnings_of({"publish": True}) == []

    def test_no_warning_in_insecure_mode(self) -> None:
        assert warnings_with_key({"publish": True}, insecure=True) == []
        assert warnings_of({"publish": True}, allow_anonymous_connect_without_token=True, insecure=True) == []

    @pytest.mark.parametrize("events", ["subscribe", "connect,subscribe"])
    def test_hook_does_not_prevent_the_warning(self, events: str) -> None:
        hook = {"hook_url": "http://h", "hook_events": events}
        assert warnings_with_key({}, **hook) == warnings_with_key({}) != []
        (warning,) = warnings_of({"publish": True}, allow_anonymous_connect_without_token=True, **hook)
        assert warning.endswith(ASK_BACKEND.format("namespaces[0]."))

    def test_users_are_not_called_anonymous_if_a_hook_or_a_backend_may_name_them(self) -> None:
        hook = {"hook_url": "http://h", "hook_events": "connect"}
        for identified in (hook, {"proxy_connect_endpoint": "http://h"}):
            opened = {"allow_anonymous_connect_without_token": True, **identified}
            assert warnings_of({"allow_subscribe_for_client": True}, **opened) == []
            assert warnings_of({}, **opened) == [
                "option namespaces[0].allow_subscribe_for_client is off: clients of protocol v2 cannot subscribe to "
                "channels of the namespace chat; set namespaces[0].allow_subscribe_for_client, or a key for tokens; "
                f"{ASK_BACKEND.format('namespaces[0].')}"
            ]
        config = Config(
            secret="secret-of-a-test",
            allow_anonymous_connect_without_token=True,
            namespaces=named(({"allow_subscribe_for_client": True},)),
        )
        assert list(channel_warnings(config, is_for_application=True)) == []

    def test_derived_token_key_causes_no_warning(self) -> None:
        config = Config(secret="secret-of-a-test", token_hmac_secret_key="key", namespaces=named(({"publish": True},)))
        assert list(channel_warnings(config, {"token_hmac_secret_key"})) == []

    def test_without_token_key_all_clients_are_anonymous(self) -> None:
        assert warnings_of({"allow_subscribe_for_client": True}, allow_anonymous_connect_without_token=True) == [
            "option namespaces[0].allow_subscribe_for_anonymous is off: clients of protocol v2 cannot subscribe to "
            "channels of the namespace chat, since without a key for tokens all of them are anonymous; "
            f"{ASK_BACKEND.format('namespaces[0].')}"
        ]
        namespace = {"allow_subscribe_for_anonymous": True}
        assert warnings_of(namespace, allow_anonymous_connect_without_token=True) == []

    @pytest.mark.parametrize(
        "name", ["allow_subscribe_for_client", "allow_subscribe_for_anonymous", "allow_user_limited_channels"]
    )
    def test_right_to_subscribe_is_a_warning_if_no_client_can_connect(self, name: str) -> None:
        other = " or allow_anonymous_connect_without_token is on" if "anonymous" in name else ""
        needs = (
            "is for clients of protocol v2, which can connect without a key for their tokens, such as "
            f"token_hmac_secret_key, only if a hook accepts them{other}"
        )
        assert warnings_of({name: True}) == [f"option namespaces[0].{name} {needs}"]
        assert warnings_of(**{name: True}) == [f"option {name} {needs}"]

    @pytest.mark.parametrize(
        "opened",
        [
            {"insecure": True},
            {"hook_url": "http://h", "hook_events": "connect"},
            {"proxy_connect_endpoint": "http://h"},
            {"token_hmac_secret_key": "key"},
            {"token_jwks_public_endpoint": "http://h"},
            {"allow_anonymous_connect_without_token": True, "allow_subscribe_for_anonymous": True},
        ],
    )
    def test_no_warning_if_a_client_with_the_right_to_subscribe_can_connect(self, opened: dict[str, Any]) -> None:
        assert warnings_of(allow_subscribe_for_client=True, **opened) == []


class TestClientsOfProtocolV1:
    def test_permissions_of_v1_without_secret_are_a_warning(self) -> None:
        config = Config(namespaces=named(({"publish": True, "anonymous": True},)))
        assert list(channel_warnings(config)) == [
            f"option namespaces[0].{name} is for clients of protocol v1, which can connect without secret only if a "
            "hook accepts them"
            for name in ("publish", "anonymous")
        ]

    @pytest.mark.parametrize("opened", [{"insecure": True}, {"hook_url": "http://h", "hook_events": "connect"}])
    def test_no_warning_if_clients_of_v1_can_connect_without_secret(self, opened: dict[str, Any]) -> None:
        assert list(channel_warnings(Config(publish=True, **opened))) == []


def test_channel_warnings_are_shown_with_others_and_are_errors_with_strict() -> None:
    warning = f"option allow_recovery {NO_HISTORY}"
    assert from_mapping({"secret": "secret-of-a-test", "allow_recovery": True}).warnings == [warning]
    with pytest.raises(ConfigError) as caught:
        load(["--config=missing.json", "--secret=secret-of-a-test", "--allow_recovery", "--strict"], {})
    assert warning in caught.value.problems


@pytest.mark.parametrize("name", ["proxy_subscribe", "proxy_publish", "proxy_sub_refresh"])
def test_backend_url_without_channels_causes_a_warning(name: str) -> None:
    endpoint = {f"{name}_endpoint": "http://127.0.0.1:5000/"}
    assert warnings_of(**endpoint) == [
        f"option {name}_endpoint has no effect without {name}, at the top level or in a namespace"
    ]
    assert warnings_of({name: True}, **endpoint) == []
    assert warnings_of(**endpoint, **{name: True}) == []


@pytest.mark.parametrize("name", ["proxy_subscribe", "proxy_publish", "proxy_sub_refresh"])
def test_channels_that_let_a_backend_decide_need_its_address(name: str) -> None:
    with pytest.raises(ConfigError) as refused:
        from_mapping(
            {"secret": "secret-of-a-test", name: True, "namespaces": [{"name": "chat", name: True}]}, "config.json"
        )
    needs = f"requires {name}_endpoint, the URL of the backend that decides"
    assert refused.value.problems == [f"config.json: {name}: {needs}", f"config.json: namespaces[0].{name}: {needs}"]


def test_no_warning_if_a_backend_decides_about_subscriptions() -> None:
    url = "http://127.0.0.1:5000/"
    asked = {"proxy_subscribe": True, "publish": True}
    assert warnings_with_key(asked, proxy_subscribe_endpoint=url) == []
    config = Config(namespaces=named((asked,)), proxy_connect_endpoint=url, proxy_subscribe_endpoint=url)
    assert list(channel_warnings(config)) == []


def test_the_names_of_v6_let_a_backend_decide() -> None:
    given = {"name": "chat", "subscribe_proxy_enabled": True}
    options = {
        "secret": "secret-of-a-test",
        "proxy_subscribe_endpoint": "http://127.0.0.1:5000/",
        "namespaces": [given],
    }
    assert from_mapping(options).config.namespaces[0].proxy_subscribe


def test_no_key_is_required_if_a_backend_identifies_clients() -> None:
    assert from_mapping({"proxy_connect_endpoint": "http://127.0.0.1:5000/"}).config.has_proxies
    assert not from_mapping({"secret": "secret-of-a-test"}).config.has_proxies
