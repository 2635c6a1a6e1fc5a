"""Endpoints with separate ports are served only on these ports."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.api_client import APIClient
from tests.gunicorn_server import GENTRIFUGO_WORKER, gunicorn
from tests.protocol_client import ProtocolClient
from tests.redis_server import free_port
from tests.servers import Server
from tests.sockjs_client import Service

ADMIN_OPTIONS = {"web": True, "admin_password": "p", "admin_secret": "s", "health": True}


def found(host: str, port: int) -> set[str]:
    """The endpoints of a port."""
    service = Service(host, port, "")
    paths = {"client": "/connection/info", "admin": "/auth/", "health": "/health"}
    there = {name for name, path in paths.items() if service.get(path).status != 404}
    if service.post("/api/", b"{}", {"Content-Type": "application/json"}).status not in (
        404,
        405,
    ):  # the web interface has all paths, for GET
        there.add("api")
    return there


def test_the_api_has_a_port_of_its_own(start_server: Callable[..., Server]) -> None:
    port = free_port()
    server = start_server(api_port=port)
    assert found(server.host, server.port) == {"client"}
    assert found(server.host, port) == {"api"}
    with ProtocolClient(server, "ann") as client:
        client.subscribe("news")
        APIClient(server.host, port).publish("news", "hello")
        assert client.message() == "hello"
    assert f"backends publish to http://{server.host}:{port}/api/" in server.log


def test_the_log_says_when_no_backend_can_use_the_api(start_server: Callable[..., Server]) -> None:
    server = start_server(secret="", token_hmac_secret_key="secret-of-a-test")
    assert "WARNING options api_key and secret are not set, so no backend can use the HTTP API" in server.log
    assert "backends publish to" not in server.log


def test_clients_api_and_admin_have_separate_ports(start_server: Callable[..., Server]) -> None:
    api, admin = free_port(), free_port()
    server = start_server(api_port=api, admin_port=admin, **ADMIN_OPTIONS)
    assert found(server.host, server.port) == {"client", "health"}
    assert found(server.host, api) == {"api", "health"}
    assert found(server.host, admin) == {"admin", "health"}


def test_api_and_admin_may_share_a_port(start_server: Callable[..., Server]) -> None:
    port = free_port()
    server = start_server(api_port=port, admin_port=port, **ADMIN_OPTIONS)
    assert found(server.host, server.port) == {"client", "health"}
    assert found(server.host, port) == {"api", "admin", "health"}


def test_a_port_that_is_taken_is_named_with_its_option(start_server: Callable[..., Server]) -> None:
    server = start_server()
    with pytest.raises(AssertionError, match=r"api_port: cannot listen on .* choose another with .*api_port"):
        start_server(api_port=server.port)


def test_address_of_the_web_interface_is_logged_only_by_a_server_that_has_started(
    start_server: Callable[..., Server],
) -> None:
    server = start_server(**ADMIN_OPTIONS)
    assert f"the web interface is at {server.url}/\n" in server.log
    with pytest.raises(AssertionError, match="cannot listen") as failed:
        start_server(**ADMIN_OPTIONS, api_port=server.port)
    assert "web interface" not in str(failed.value)


def test_application_ignores_separate_ports_with_a_warning(tmp_path_factory: pytest.TempPathFactory) -> None:
    with gunicorn(tmp_path_factory.mktemp("gunicorn"), GENTRIFUGO_WORKER, api_port=10001) as server:
        assert found(server.host, server.port) == {"client"}
        assert "option api_port has no effect here: a WSGI application has no separate port" in server.log
