"""Warnings about options of which one keeps another from its effect."""

from __future__ import annotations

from typing import Any

import pytest

from gentrifugo.app.config.contradictions import closing_time, own_server_warnings
from gentrifugo.app.config.loading import from_mapping

UNIX = {"unix_socket": "/run/gentrifugo/socket"}
LISTENS = "no effect with unix_socket: the server listens at /run/gentrifugo/socket instead"


def warnings_of(**options: Any) -> list[str]:
    return from_mapping({"secret": "secret-of-a-test", **options}).warnings


@pytest.mark.parametrize(("timeout", "closing"), [(10, 9), (2, 1), (1, 0.5), (0.2, 0.1), (0, 0)])
def test_connections_are_closed_until_the_last_second_or_in_the_first_half(timeout: float, closing: float) -> None:
    assert closing_time(timeout) == closing


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"shutdown_timeout": 3},
            "option shutdown_timeout: 3 s leave 2 s for closing connections, less than drain_time (3 s): the last of "
            "many clients would not be told to reconnect",
        ),
        (
            {"client_pong_timeout": 30},
            "option client_pong_timeout should not exceed ping_interval: 30 s count as 25 s",
        ),
        ({**UNIX, "port": 9000}, f"option port has {LISTENS}"),
        ({**UNIX, "address": "127.0.0.1", "port": 9000}, f"options address and port have {LISTENS}"),
    ],
)
def test_option_that_another_one_replaces_causes_a_warning(options: dict[str, Any], text: str) -> None:
    assert warnings_of(**options) == [text]


@pytest.mark.parametrize(
    "options",
    [
        {"shutdown_timeout": 4},
        {"shutdown_timeout": 0, "drain_time": 0},
        {"ping_interval": 5},
        {"ping_interval": 0, "client_pong_timeout": 30},
        {"client_pong_timeout": 25},
        UNIX,
        {**UNIX, "port": 0},
        {**UNIX, "address": "127.0.0.1", "admin_port": 9000},
    ],
)
def test_options_that_fit_together_cause_no_warning(options: dict[str, Any]) -> None:
    assert warnings_of(**options) == []


def test_warnings_about_listening_do_not_hold_with_another_server() -> None:
    loaded = from_mapping(
        {"secret": "secret-of-a-test", "shutdown_timeout": 3, "client_pong_timeout": 30, **UNIX, "port": 9000}
    )
    assert [text for text in loaded.warnings if text not in loaded.warnings_elsewhere] == list(
        own_server_warnings(loaded.config)
    )
    assert any("client_pong_timeout" in text for text in loaded.warnings_elsewhere)
