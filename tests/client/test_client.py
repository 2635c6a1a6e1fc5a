"""The client with a real server: every method of both APIs, batches, connections, and the texts of errors."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gentrifugo import APIError, Client, ClientError, StatusError, TransportError, __version__
from gentrifugo.client import commands, commands_v1
from gentrifugo.client.results import BroadcastResult, DisconnectReason, Position, PublishResult
from tests.certificates import make_certificate
from tests.client.conftest import OPTIONS
from tests.client.flaky_server import flaky
from tests.credentials import API_KEY, SECRET
from tests.protocol_client import ProtocolClient
from tests.protocol_client_v2 import ProtocolClientV2
from tests.servers import Server, running
from tests.waiting import eventually, seconds


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.url, api_key=API_KEY, secret=SECRET, timeout=seconds(5)) as made:
        yield made


class TestMethods:
    def test_publications_have_positions_and_are_kept(self, client: Client, channel: str) -> None:
        first = client.publish(channel, {"text": "Grüße"}, tags={"lang": "de"})
        second = client.publish(channel, b64data="eyJ0ZXh0IjogMX0=")
        assert (first.offset, second) == (1, PublishResult(2, first.epoch))
        history = client.history(channel, limit=-1)
        assert [(one.offset, one.data, one.tags) for one in history.publications] == [
            (1, {"text": "Grüße"}, {"lang": "de"}),
            (2, {"text": 1}, None),
        ]
        assert (history.offset, history.epoch) == (2, first.epoch)
        later = client.history(channel, limit=5, since=Position(1, first.epoch))
        assert [one.offset for one in later.publications] == [2]
        client.history_remove(channel)
        assert client.history(channel, limit=-1).publications == []

    def test_a_broadcast_has_an_outcome_for_each_channel(self, client: Client, channel: str) -> None:
        result = client.broadcast([channel, "unknown:news", "news"], 1)
        assert isinstance(result, BroadcastResult)
        kept, refused, not_kept = result.responses
        assert kept.result is not None
        assert refused.error is not None
        assert (kept.result.offset, refused.error.code, not_kept.result) == (1, 102, PublishResult())

    def test_connections_of_a_user_are_subscribed_and_unsubscribed(
        self, client: Client, server: Server, channel: str
    ) -> None:
        with ProtocolClientV2(server, "ann") as ann:
            client.subscribe("ann", channel, data={"seat": 3}, info={"role": "host"})
            push = ann.push()
            assert (push["channel"], push["subscribe"]["data"]) == (channel, {"seat": 3})
            (who,) = client.presence(channel).presence.values()
            assert (who.user, who.client, who.chan_info, who.conn_info) == ("ann", ann.id, {"role": "host"}, None)
            stats = client.presence_stats(channel)
            assert (stats.num_clients, stats.num_users) == (1, 1)
            assert client.channels(pattern=channel).channels[channel].num_clients == 1
            client.unsubscribe("ann", channel)
            assert "unsubscribe" in ann.push()

    def test_connections_of_a_user_are_renewed_and_closed(self, client: Client, server: Server) -> None:
        with ProtocolClientV2(server, "bob") as bob:
            client.refresh("bob", expire_at=4_000_000_000)
            assert bob.push()["refresh"]["expires"] is True
            client.disconnect("bob", disconnect=DisconnectReason(4501, "go away"))
            closed = bob.wait_closed()
        assert (closed.code, closed.reason) == (4501, "go away")

    def test_nodes_are_described(self, client: Client) -> None:
        (node,) = client.info().nodes
        assert node.version == __version__


class TestV1:
    def test_messages_are_published_and_kept(self, client: Client, channel: str) -> None:
        client.v1.publish(channel, {"n": 1}, uid="first", client="c1")
        client.v1.broadcast([channel, "news"], [2])
        assert [(one.data, one.channel) for one in client.v1.history(channel)] == [([2], channel), ({"n": 1}, channel)]
        assert (client.v1.history(channel)[1].uid, client.v1.history(channel)[1].client) == ("first", "c1")

    def test_connections_of_a_user_are_listed_unsubscribed_and_closed(
        self, client: Client, server: Server, channel: str
    ) -> None:
        with ProtocolClient(server, "eve", info='{"name":"Eve"}') as eve:
            eve.subscribe(channel)
            (who,) = client.v1.presence(channel).values()
            assert (who.user, who.default_info, who.channel_info) == ("eve", {"name": "Eve"}, None)
            assert channel in client.v1.channels()
            client.v1.unsubscribe("eve", channel)
            assert eve.push()["method"] == "unsubscribe"
            client.v1.disconnect("eve")
            assert eventually(lambda: channel not in client.v1.channels(), within=5)

    def test_nodes_are_described(self, client: Client) -> None:
        node = client.v1.node()
        assert node.metrics["node_num_clients"] >= 0
        stats = client.v1.stats()
        assert [one.name for one in stats.nodes] == [node.name]

    def test_a_batch_of_v1_has_the_result_or_the_error_of_each_command(self, client: Client, channel: str) -> None:
        published, refused, history = client.v1.batch(
            [
                commands_v1.publish(channel, 1),
                commands_v1.publish("unknown:news", 1),
                commands_v1.history(channel),
            ]
        )
        assert published is None
        assert isinstance(refused, APIError)
        assert (refused.code, refused.message) == (0, "namespace not found")
        assert isinstance(history, list)
        assert [message.data for message in history] == [1]
        assert client.v1.batch([]) == []

    def test_an_error_is_raised_with_its_text(self, client: Client) -> None:
        with pytest.raises(APIError, match=r"history at .*: not available; check the options of the channel") as raised:
            client.v1.history("news")
        assert (raised.value.code, raised.value.message, raised.value.is_temporary) == (0, "not available", False)


class TestBatches:
    def test_a_batch_has_the_result_or_the_error_of_each_command(self, client: Client, channel: str) -> None:
        for parallel in (False, True):
            published, refused, stats = client.batch(
                [
                    commands.publish(channel, 1),
                    commands.publish("unknown:news", 1),
                    commands.presence_stats(channel),
                ],
                parallel=parallel,
            )
            assert isinstance(published, PublishResult)
            assert isinstance(refused, APIError)
            assert (refused.method, refused.code) == ("publish", 102)
            assert not isinstance(stats, APIError)
        assert client.history(channel, limit=0).offset == 2

    def test_empty_batch_sends_no_request(self) -> None:
        with Client("http://127.0.0.1:1", api_key="key") as client:
            assert client.batch([]) == []

    def test_commands_may_come_from_any_iterable(self, client: Client, channel: str) -> None:
        first, second = client.batch(commands.publish(channel, number) for number in range(2))
        assert not isinstance(first, APIError)
        assert not isinstance(second, APIError)
        assert (first.offset, second.offset) == (1, 2)
        assert client.v1.batch(map(commands_v1.publish, [channel], [1])) == [None]
        assert client.history(channel, limit=0).offset == 3
        assert (client.batch(iter(())), client.v1.batch(())) == ([], [])

    @pytest.mark.parametrize("wrong", [None, 5, {}, {"a": 1}, "", "abc", b"abc", commands.info()])
    def test_batch_that_is_not_a_list_is_refused(self, wrong: Any) -> None:
        with Client("http://127.0.0.1:1", api_key="key", secret="s", retries=0) as client:
            for batch, module in ((client.batch, "commands"), (client.v1.batch, "commands_v1")):
                expected = rf"^commands: expected a list of commands of gentrifugo\.client\.{module}, not "
                with pytest.raises(ValueError, match=expected):
                    batch(wrong)

    @pytest.mark.parametrize("wrong", [1, None, "a", commands.info])
    def test_batch_with_something_else_is_refused_with_its_place(self, wrong: Any) -> None:
        with Client("http://127.0.0.1:1", api_key="key", secret="s", retries=0) as client:
            with pytest.raises(
                ValueError, match=r"^commands\[1\]: expected a command of gentrifugo\.client\.commands, not"
            ):
                client.batch([commands.info(), wrong])
            with pytest.raises(ValueError, match=r"^commands\[0\]: expected a command of .*\.commands_v1, not "):
                client.v1.batch([wrong])

    def test_commands_of_the_other_api_are_refused_with_their_place(self) -> None:
        with Client("http://127.0.0.1:1", api_key="key", secret="s", retries=0) as client:
            text = r"^commands\[1\]: expected a command of gentrifugo\.client\.{}, not stats of gentrifugo\.client\.{}$"
            with pytest.raises(ValueError, match=text.format("commands", "commands_v1")):
                client.batch([commands.info(), commands_v1.stats()])
            text = text.replace("stats", "info")
            with pytest.raises(ValueError, match=text.format("commands_v1", "commands")):
                client.v1.batch([commands_v1.stats(), commands.info()])

    def test_command_without_a_result_returns_none(self, client: Client) -> None:
        assert client.batch([commands.unsubscribe("nobody", "news")]) == [None]


class TestErrors:
    def test_an_api_error_names_method_address_code_and_advice(self, client: Client, server: Server) -> None:
        with pytest.raises(APIError) as raised:
            client.publish("unknown:news", 1)
        assert (raised.value.code, raised.value.message) == (102, "unknown channel")
        assert str(raised.value) == (
            f"publish at {server.url}/api/publish: error 102, unknown channel; "
            "check that the namespace is in option namespaces of the server"
        )

    def test_a_wrong_key_is_a_status_error_without_the_key(self, server: Server) -> None:
        with Client(server.url, api_key="a wrong key", secret="a wrong secret") as client:
            for call in (client.info, client.v1.stats):
                with pytest.raises(
                    StatusError, match=r"POST http://.*: status 401 \(.*\); check that api_key"
                ) as raised:
                    call()
                assert raised.value.status == 401
                assert "a wrong" not in f"{raised.value!r}{raised.value.__cause__!r}{client!r}"

    def test_only_an_error_of_v1_mentions_its_secret(self, server: Server) -> None:
        with (
            flaky(server.url, (400, "no"), (400, "no"), (400, "no")) as other,
            Client(other.url, api_key="key", secret="s") as client,
        ):
            for call in (client.info, lambda: client.batch([commands.info()])):
                with pytest.raises(StatusError, match=r"status 400 \(no\); correct the command$"):
                    call()
            with pytest.raises(StatusError, match="correct the command, and check that secret equals option secret"):
                client.v1.stats()

    def test_an_argument_that_cannot_be_used_is_not_sent(self, server: Server) -> None:
        with flaky(server.url) as other, Client(other.url, api_key="key", secret="s") as client:
            for call in (
                lambda: client.publish(["a"], 1),  # type: ignore[arg-type]
                lambda: client.publish("", 1),
                lambda: client.publish("chat:a", 1, tags={"a": 1}),  # type: ignore[dict-item]
                lambda: client.v1.publish(5, 1),  # type: ignore[arg-type]
            ):
                with pytest.raises(ValueError, match=r"channel|tags"):
                    call()
            assert other.bodies == []

    def test_unreachable_server_is_a_transport_error(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with Client(url, api_key="key", retries=0) as client, pytest.raises(TransportError) as raised:
            client.info()
        assert str(raised.value).startswith(f"POST {url}/api/info: ")
        assert "check that the server is running" in str(raised.value)
        assert (raised.value.is_temporary, raised.value.may_have_been_carried_out) == (True, False)

    def test_https_for_a_port_without_tls_is_named_as_the_mistake(self, server: Server) -> None:
        with (
            Client(f"https://{server.host}:{server.port}", api_key=API_KEY, retries=0) as client,
            pytest.raises(
                TransportError, match=r"; check that this port of .* has TLS, otherwise .* http://$"
            ) as raised,
        ):
            client.info()
        assert (raised.value.is_temporary, raised.value.may_have_been_carried_out) == (True, False)

    def test_an_unknown_certificate_is_not_mistaken_for_a_missing_one(self, server: Server, tmp_path: Path) -> None:
        certificate = make_certificate(tmp_path)
        with (
            running({**OPTIONS, **certificate.options}, tmp_path) as other,
            Client(f"https://{other.host}:{other.port}", api_key=API_KEY, retries=0) as client,
            pytest.raises(TransportError, match=r"CERTIFICATE_VERIFY_FAILED.*; check that the server is running"),
        ):
            client.info()

    @pytest.mark.parametrize("body", ["<html>Welcome</html>", "[]", '{"result": {"nodes": 3}}', '"text"'])
    def test_a_reply_that_is_not_of_the_api_is_a_status_error(self, server: Server, body: str) -> None:
        with (
            flaky(server.url, (200, body), (200, body)) as other,
            Client(other.url, api_key="key", secret="s") as client,
        ):
            for call in (client.info, client.v1.stats):
                with pytest.raises(StatusError, match=r"status 200 \(the body is not a reply of the API\); check that"):
                    call()

    def test_a_batch_with_another_number_of_replies_is_a_status_error(self, server: Server) -> None:
        with (
            flaky(server.url, (200, '{"replies": []}'), (200, "[]")) as other,
            Client(other.url, api_key="key", secret="secret") as client,
        ):
            with pytest.raises(StatusError, match="the body is not a reply"):
                client.batch([commands.info()])
            with pytest.raises(StatusError, match="the body is not a reply"):
                client.v1.batch([commands_v1.stats()])

    @pytest.mark.parametrize("extra", ["/api", "/api/", "/api/publish"])
    def test_an_address_that_contains_api_is_named_as_the_mistake(self, server: Server, extra: str) -> None:
        advice = rf"leave out {extra.rstrip('/')} at the end of the client's url, unless it is the server's http_prefix"
        with Client(server.url + extra, api_key=API_KEY, secret=SECRET) as client:
            for call in (client.info, lambda: client.publish("news", 1), client.v1.stats):
                with pytest.raises(StatusError, match=advice + "$"):
                    call()
                with pytest.raises(StatusError, match=advice + "$"):
                    client.batch([commands.info()])

    def test_an_http_prefix_may_be_api(self, tmp_path: Path) -> None:
        with running({**OPTIONS, "http_prefix": "/api"}, tmp_path) as prefixed:
            with Client(f"{prefixed.url}/api", api_key=API_KEY, secret=SECRET) as client:
                assert (len(client.info().nodes), len(client.v1.stats().nodes)) == (1, 1)
            with Client(prefixed.url, api_key=API_KEY) as client, pytest.raises(StatusError, match="http_prefix if it"):
                client.info()

    def test_a_page_is_not_repeated_in_the_text_of_an_error(self, server: Server) -> None:
        with (
            flaky(server.url, (404, "<html>Not found</html>")) as other,
            Client(other.url, api_key="key") as client,
            pytest.raises(StatusError, match="status 404; check that this is the address of a Gentrifugo") as raised,
        ):
            client.info()
        assert raised.value.text == "<html>Not found</html>"

    def test_halves_of_surrogate_pairs_are_read(self, server: Server) -> None:
        reply = '{"result": {"publications": [{"data": "\\ud800"}], "offset": 1, "epoch": "a"}}'
        with flaky(server.url, (200, reply)) as other, Client(other.url, api_key="key") as client:
            assert [one.data for one in client.history("news", limit=1).publications] == ["\ud800"]

    @pytest.mark.parametrize("number", ["1e999", "9" * 5000])
    def test_numbers_that_are_out_of_range_are_infinite(self, server: Server, number: str) -> None:
        reply = f'{{"result": {{"publications": [{{"data": {number}}}], "offset": 1, "epoch": "a"}}}}'
        with flaky(server.url, (200, reply)) as other, Client(other.url, api_key="key") as client:
            assert [one.data for one in client.history("news", limit=1).publications] == [float("inf")]


class TestSettings:
    @pytest.mark.parametrize("key", ["", "from a file\n", " secret words", "secret\x00words"])
    def test_a_key_that_no_header_can_contain_is_refused_without_showing_it(self, key: str) -> None:
        with pytest.raises(ValueError, match="api_key is empty, begins or ends with white space") as raised:
            Client("http://localhost", api_key=key)
        assert "secret" not in str(raised.value)

    def test_a_key_may_have_any_letters(self, server: Server) -> None:
        with Client(server.url, api_key="schlüssel") as client, pytest.raises(StatusError, match="401"):
            client.info()

    @pytest.mark.parametrize(
        "url",
        [
            *("", "localhost:8000", "ftp://localhost", "http://", "http://[::1", "http://\ud800", "http://host/\ud800"),
            *("http://host/?a=1", "http://host/#a", "http://host?", "http://host/#"),
        ],
    )
    def test_an_address_that_is_not_one_of_a_server_is_refused(self, url: str) -> None:
        with pytest.raises(ValueError, match="url: expected an address"):
            Client(url, api_key="key")

    def test_impossible_arguments_are_refused(self) -> None:
        for arguments in ({"timeout": 0.0}, {"timeout": 1.0, "retries": -1}):
            with pytest.raises(ValueError, match=r"timeout must be .* retries must be"):
                Client("http://localhost", api_key="key", **arguments)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="api_key or secret is required"):
            Client("http://localhost")
        with pytest.raises(ValueError, match="secret is empty"):
            Client("http://localhost", secret="")

    @pytest.mark.parametrize("timeout", [float("inf"), float("nan"), 10**400, 1e10, True, -1])
    def test_a_timeout_that_is_no_time_is_refused(self, timeout: float) -> None:
        with pytest.raises(ValueError, match=r"^timeout must be a number of more than 0 seconds"):
            Client("http://localhost", api_key="key", timeout=timeout)

    def test_the_number_of_retries_is_an_integer(self) -> None:
        with pytest.raises(ValueError, match="retries must be an integer that is not negative"):
            Client("http://localhost", api_key="key", retries=True)

    def test_a_key_that_is_not_text_is_refused_without_showing_it(self) -> None:
        for name in ("api_key", "secret"):
            with pytest.raises(ValueError, match=rf"^{name}: contains half of a surrogate pair") as raised:
                Client("http://localhost", **{name: "words\ud800"})  # type: ignore[arg-type]
            assert "words" not in f"{raised.value!r}"
            assert raised.value.__suppress_context__

    @pytest.mark.parametrize("host", ["a..b", "a" * 70 + ".example", "\u2603.example", "xn--a", "xn--zz99999"])
    def test_host_that_cannot_be_looked_up_is_refused(self, host: str) -> None:
        with pytest.raises(ValueError, match=r"^url: expected an address such as"):
            Client(f"http://{host}/", api_key="key")

    @pytest.mark.parametrize(
        "host",
        [
            "b\u00fccher.example",
            "\u05d0\u05d11.example",
            "xn--bcher-kva.example",
            "my_service",
            "a.example.",
            "[::1]",
            "192.0.2.1",
        ],
    )
    def test_host_of_any_kind_is_accepted(self, host: str) -> None:
        assert Client(f"http://{host}/", api_key="key")

    @pytest.mark.parametrize("http", [httpx, httpx.Client, httpx.AsyncClient(), "http", 0, object()])
    def test_an_http_client_of_another_kind_is_refused(self, http: Any) -> None:
        with pytest.raises(ValueError, match=r"^http: expected an httpx\.Client, not "):
            Client("http://localhost", api_key="key", http=http)

    def test_arguments_of_a_wrong_type_are_refused(self) -> None:
        for url in (None, 8000, b"http://localhost"):
            with pytest.raises(ValueError, match="url: expected an address such as"):
                Client(url, api_key="key")  # type: ignore[arg-type]
        for name in ("api_key", "secret"):
            with pytest.raises(ValueError, match=f"{name}: expected a string, not bytes") as raised:
                Client("http://localhost", **{name: b"words"})  # type: ignore[arg-type]
            assert "words" not in str(raised.value)
        for arguments in ({"timeout": "5"}, {"timeout": None}, {"retries": 1.5}):
            with pytest.raises(ValueError, match=r"timeout must be a number .* retries must be an integer"):
                Client("http://localhost", api_key="key", **arguments)

    def test_error_without_a_key_names_the_required_key(self) -> None:
        with Client("http://localhost", secret="secret") as client:
            with pytest.raises(ClientError, match=r"requires api_key; with only secret, use the methods of .* v1"):
                client.publish("news", 1)
            with pytest.raises(ClientError, match="requires api_key"):
                client.batch([commands.info()])
        with Client("http://localhost", api_key="key") as client, pytest.raises(ClientError, match="v1 require secret"):
            client.v1.publish("news", 1)

    def test_a_password_in_the_address_is_not_shown(self, server: Server) -> None:
        url = server.url.replace("http://", "http://ann:password@")
        with Client(url, api_key=API_KEY) as client:
            assert "password" not in repr(client)
            with pytest.raises(APIError) as raised:
                client.publish("unknown:news", 1)
        assert "password" not in str(raised.value)

    def test_a_prefix_of_the_server_is_part_of_the_address(self) -> None:
        client = Client("http://localhost:8000/realtime/", api_key="key")
        assert repr(client) == "<Client of http://localhost:8000/realtime/api>"
        client.close()


class TestConnections:
    def test_one_connection_serves_many_requests(self, server: Server) -> None:
        with flaky(server.url) as other, Client(other.url, api_key=API_KEY) as client:
            for _ in range(3):
                client.info()
            assert (len(other.bodies), other.connections) == (3, 1)

    def test_an_own_client_of_httpx_stays_open(self, server: Server) -> None:
        with httpx.Client(timeout=seconds(5), headers={"X-From": "test"}) as http:
            with Client(server.url, api_key=API_KEY, http=http) as client:
                assert client.info().nodes
            assert not http.is_closed

    def test_a_closed_client_cannot_be_used(self, server: Server) -> None:
        client = Client(server.url, api_key=API_KEY, secret=SECRET)
        client.close()
        client.close()
        for call in (client.info, client.v1.stats):
            with pytest.raises(
                ClientError, match=r"^the client is closed, or the client of httpx that it uses; create an"
            ):
                call()

    def test_an_own_client_of_httpx_may_be_closed_too(self, server: Server) -> None:
        with httpx.Client() as http:
            client = Client(server.url, api_key=API_KEY, http=http)
        with pytest.raises(ClientError, match="or the client of httpx that it uses"):
            client.info()


def run(code: str, *arguments: str) -> str:
    """Run Python code in a separate process, which must not fail, and return its output."""
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    # A process that is measured for coverage imports gevent itself.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds(60))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_client_imports_nothing_of_the_server() -> None:
    code = (
        "import sys; from gentrifugo import AsyncClient, Client, ClientError; import gentrifugo.client.commands_v1\n"
        "names = [name for name in sys.modules if name.split('.')[0] in ('gevent', 'flask', 'redis')\n"
        "         or name.startswith(('gentrifugo.app', 'gentrifugo.engines', 'gentrifugo.admin'))]\n"
        "print(names)"
    )
    assert run(code) == "[]\n"


def test_other_greenlets_run_while_a_request_waits(server: Server) -> None:
    code = (
        "from gevent import monkey; monkey.patch_all()\n"
        "import sys, gevent\n"
        "from gentrifugo import Client\n"
        "turns = []\n"
        "other = gevent.spawn(lambda: [(turns.append(1), gevent.sleep(0)) for _ in range(3)])\n"
        "with Client(sys.argv[1], api_key=sys.argv[2]) as client:\n"
        "    found = gevent.pool.Pool(5).map(lambda number: client.info().nodes[0].name, range(20))\n"
        "print(len(turns), len(found), len(set(found)))\n"
    ).replace("import sys, gevent\n", "import sys, gevent, gevent.pool\n")
    assert run(code, server.url, API_KEY) == "3 20 1\n"
