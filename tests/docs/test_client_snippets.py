"""Snippets of clients.md, recovery.md and from-pusher.md that need additional code, and statements about libraries."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.api_client import APIClient
from tests.clients.driver import node_driver
from tests.credentials import API_KEY, SECRET, TOKEN_KEY, connect_params, jwt
from tests.docs.pages import page
from tests.docs.programs import Program
from tests.parts import cent
from tests.protocol_client import ProtocolClient
from tests.servers import Server
from tests.tcp_proxy import TcpProxy
from tests.waiting import seconds

THIS = "tests/docs/test_client_snippets.py"
ADDRESS = "http://127.0.0.1:8000"
NEWS = {"name": "news", "history_size": 10, "history_lifetime": 60, "recover": True}


def snippet(name: str, beginning: str) -> str:
    """Return the block of a page that begins with these words."""
    (text,) = (
        block.text for block in page(name).blocks if block.mark == f"run by {THIS}" and block.text.startswith(beginning)
    )
    return text


def output_of(directory: Path, *parts: str) -> list[str]:
    """What a program in Node prints."""
    return Program("javascript", "\n".join(parts), directory).output().splitlines()


def test_every_client_snippet_is_run() -> None:
    counts = {
        name: sum(block.mark == f"run by {THIS}" for block in page(name).blocks)
        for name in ("clients.md", "recovery.md", "from-pusher.md")
    }
    assert counts == {"clients.md": 4, "recovery.md": 2, "from-pusher.md": 1}


def test_a_message_is_shown_once(tmp_path: Path) -> None:
    around = """
        const show = (data) => console.log(data);
        const centrifuge = {subscribe: (channel, handler) => {
            for (const uid of ['a', 'b', 'a', 'c']) handler({uid, data: `${channel} ${uid}`});
        }};
    """
    shown = output_of(tmp_path, around, snippet("recovery.md", "const shown"))
    assert shown == ["news:sport a", "news:sport b", "news:sport c"]


def test_missed_messages_come_after_a_reconnect(start_server: Callable[..., Server], tmp_path: Path) -> None:
    news = {**NEWS, "allow_subscribe_for_client": True, "history_size": 3}
    server = start_server(token_hmac_secret_key=TOKEN_KEY, api_key=API_KEY, namespaces=[news])
    before = f"""
        const {{Centrifuge}} = require('centrifuge5');
        const url = 'ws://{server.host}:{server.port}/connection/websocket';
        const centrifuge = new Centrifuge(url, {{websocket: require('ws'), token: '{jwt(sub="42")}'}});
        const loadAll = () => console.log('load all');
        const show = (data) => console.log(data);
        const publish = (data) => fetch('{server.url}/api/publish', {{
            method: 'POST',
            headers: {{'X-API-Key': '{API_KEY}'}},
            body: JSON.stringify({{channel: 'news:sport', data}}),
        }});
    """
    after = """
        const comeBackAfter = async (...missed) => {
            centrifuge.disconnect();
            for (const data of missed) await publish(data);
            const subscribed = new Promise((resolve) => news.once('subscribed', resolve));
            centrifuge.connect();
            const {recovered} = await subscribed;
            console.log(recovered);
        };
        (async () => {
            centrifuge.connect();
            await news.ready();
            await comeBackAfter(1, 2);
            await comeBackAfter();
            await comeBackAfter(3, 4, 5, 6);
            const received = new Promise((resolve) => news.once('publication', resolve));
            await publish(7);
            await received;
            centrifuge.disconnect();
        })();
    """
    said = output_of(tmp_path, before, snippet("recovery.md", "const news"), after)
    assert said == ["load all", "1", "2", "true", "true", "load all", "false", "7"]


def test_own_messages_of_a_client_are_skipped(tmp_path: Path) -> None:
    around = """
        const show = (data) => console.log(data);
        const centrifuge = {getClientId: () => 'me'};
        const room = {on: (event, handler) => {
            for (const client of ['me', 'you', undefined]) handler({client, data: `${event} of ${client}`});
        }};
    """
    assert output_of(tmp_path, around, snippet("clients.md", "room.on")) == ["message of you", "message of undefined"]


def test_a_page_skips_what_its_own_connection_has_caused(start_server: Callable[..., Server], tmp_path: Path) -> None:
    orders = {"name": "orders", "allow_subscribe_for_client": True, "allow_publish_for_subscriber": True}
    server = start_server(token_hmac_secret_key=TOKEN_KEY, api_key=API_KEY, namespaces=[orders])
    before = f"""
        const {{Centrifuge}} = require('centrifuge5');
        const url = 'ws://{server.host}:{server.port}/connection/websocket';
        const connection = () => new Centrifuge(url, {{websocket: require('ws'), token: '{jwt(sub="42")}'}});
        const centrifuge = connection();
        const other = connection();
        const orders = centrifuge.newSubscription('orders:1');
        const otherOrders = other.newSubscription('orders:1');
        const publish = (data, tags) => fetch('{server.url}/api/publish', {{
            method: 'POST',
            headers: {{'X-API-Key': '{API_KEY}'}},
            body: JSON.stringify({{channel: 'orders:1', data, tags}}),
        }});
        const show = (data) => {{
            console.log(data);
            if (data === 'the end') process.exit();
        }};
    """
    after = """
        (async () => {
            for (const each of [orders, otherOrders]) each.subscribe();
            for (const each of [centrifuge, other]) each.connect();
            await Promise.all([orders.ready(), otherOrders.ready()]);
            await orders.publish('own');
            await otherOrders.publish('of another client');
            await publish('own, by the backend', {client: ownId});
            await publish('of another client, by the backend', {client: 'another'});
            await publish('of the backend');
            await publish('the end');
        })();
    """
    assert output_of(tmp_path, before, snippet("from-pusher.md", "let ownId"), after) == [
        "of another client",
        "of another client, by the backend",
        "of the backend",
        "the end",
    ]


def test_functions_replace_credential_requests(start_server: Callable[..., Server], tmp_path: Path) -> None:
    # Timestamps are whole seconds: of a lifetime of one, nothing might be left at the connect.
    server = start_server(connection_lifetime=2, expired_connection_close_delay=2)
    options = {"url": f"ws://{server.host}:{server.port}/connection/websocket", **connect_params("42")}
    before = f"""
        const {{createHmac}} = require('crypto');
        global.WebSocket = require('ws');
        const Centrifuge = require('centrifuge');
        const sign = (...parts) => createHmac('sha256', '{SECRET}').update(parts.join('')).digest('hex');
        const refreshed = new Promise((resolve) => {{ global.resolve = resolve; }});
        async function askBackend(what, data) {{
            console.log(what);
            if (what === 'auth') return {{[data.channels[0]]: {{sign: sign(data.client, data.channels[0])}}}};
            setTimeout(resolve, 1500);
            const timestamp = String(Math.floor(Date.now() / 1000));
            return {{user: '42', timestamp, info: '', token: sign('42', timestamp)}};
        }}
    """
    after = f"""
        const centrifuge = new Centrifuge(Object.assign({json.dumps(options)}, functions));
        centrifuge.on('disconnect', ({{reason}}) => console.log(reason));
        centrifuge.subscribe('$room.').on('subscribe', () => console.log('subscribed'));
        refreshed.then(() => {{ console.log(centrifuge.isConnected()); process.exit(); }});
        centrifuge.connect();
    """
    said = output_of(tmp_path, before, snippet("clients.md", "const functions"), after)
    assert [line for index, line in enumerate(said) if line not in said[:index]] == [
        "auth",
        "subscribed",
        "refresh",
        "true",
    ]


def test_cent_has_a_command_line(start_server: Callable[..., Server], tmp_path: Path) -> None:
    server = start_server()
    (tmp_path / ".centrc").write_text(snippet("clients.md", "[local]").replace(ADDRESS, server.url))
    directory = cent("2.1.0")
    path = f"{directory / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "HOME": str(tmp_path), "PATH": path, "PYTHONPATH": str(directory)}
    command = ["bash", "-euo", "pipefail", "-c", snippet("clients.md", "echo")]
    with ProtocolClient(server, "42") as client:
        client.subscribe("news")
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds(10))
        assert done.returncode == 0, done.stdout + done.stderr
        assert client.message() == {"text": "Hello"}


@pytest.mark.parametrize("has_new", [False, True], ids=["nothing new", "a new message"])
def test_centrifuge_js_forgets_the_last_uid_after_an_empty_recovery(
    start_server: Callable[..., Server], has_new: bool
) -> None:
    """docs/recovery.md describes this. If a later version of the library does not forget the uid, change the page."""
    server = start_server(namespaces=[NEWS])
    api = APIClient(server.host, server.port)
    api.publish("news:a", 1)
    with TcpProxy(server.host, server.port) as proxy:
        url = f"ws://127.0.0.1:{proxy.port}/connection/websocket"
        configuration = json.dumps({"url": url, "retry": 50, **connect_params("42")})
        with node_driver("centrifuge_driver.js", configuration, package="centrifuge") as client:
            client.send(do="connect")
            client.send(do="subscribe", channel="news:a")
            client.wait_for("subscribe")
            proxy.break_connections()
            client.wait_for("disconnect")
            proxy.restore()
            assert client.wait_for("subscribe")["recovered"] is True
            if has_new:
                api.publish("news:a", 2)
                client.wait_for("message")
            proxy.break_connections()
            client.wait_for("disconnect")
            proxy.restore()
            assert client.wait_for("subscribe")["recovered"] is has_new
