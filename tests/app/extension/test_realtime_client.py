"""The client for tests: it communicates with the application under test like any other client, without a socket."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, Response, abort, jsonify, request, session

from gentrifugo import CommandError, Context, Gentrifugo, Refuse
from gentrifugo.app.extension.in_process_connection import ConnectionClosed, FrameInbox
from gentrifugo.app.extension.realtime_client import Push
from gentrifugo.app.net.flusher import Flusher
from tests.credentials import sign
from tests.flask_sites import nothing_left_behind, site
from tests.waiting import seconds

__all__ = ["nothing_left_behind"]

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


def site_under_test(**options: Any) -> tuple[Flask, Gentrifugo]:
    app = site(TESTING=True, **{f"GENTRIFUGO_{name.upper()}": value for name, value in options.items()})
    return app, Gentrifugo(app)


def with_sessions(**options: Any) -> tuple[Flask, Gentrifugo]:
    """A site whose sessions identify the users that connect."""
    app, rt = site_under_test(**options)

    @rt.on_connect
    def identify(context: Context) -> None:
        if "user" not in session:
            raise Refuse("log in first")
        context.user = session["user"]

    @app.get("/login/<user>")
    def login(user: str) -> str:
        session["user"] = user
        return ""

    return app, rt


class TestConnection:
    def test_a_user_connects_with_a_token(self) -> None:
        _, rt = site_under_test(presence=True)
        with rt.test_client(user=42, info={"name": "Ann"}) as client:
            client.subscribe("news")
            (who,) = rt.presence("news").values()
            assert (who.user, who.client, who.default_info) == ("42", client.id, {"name": "Ann"})
        assert not client.is_connected
        assert rt.presence("news") == {}

    def test_hook_identifies_the_client_by_cookies_of_the_http_client(self) -> None:
        app, rt = with_sessions(presence=True)
        http = app.test_client()
        client = rt.test_client(http=http)
        with pytest.raises(ConnectionClosed, match="log in first") as refused:
            client.connect()
        assert (refused.value.reconnect, client.closed is not None, client.is_connected) == (False, True, False)
        http.get("/login/ann")
        with client:
            client.subscribe("news")
            assert [who.user for who in client.presence("news").values()] == ["ann"]

    def test_context_of_an_http_client_stays_unchanged(self) -> None:
        app, rt = with_sessions()
        with app.test_client() as http:
            http.get("/login/ann")
            with rt.test_client(http=http):
                assert (request.path, session["user"]) == ("/login/ann", "ann")

    def test_hooks_receive_the_request(self) -> None:
        app, rt = site_under_test()
        seen = []

        @rt.on_connect
        def note(context: Context) -> None:
            seen.append((context.request.path, request.headers["X-Who"], request.remote_addr))
            context.user = ""

        http = app.test_client()
        http.environ_base["REMOTE_ADDR"] = "192.0.2.1"
        with rt.test_client(http=http, headers={"X-Who": "ann"}):
            assert seen == [("/realtime/connection/websocket", "ann", "192.0.2.1")]

    def test_no_view_and_no_before_request_function_runs(self) -> None:
        app, rt = site_under_test()
        app.before_request(lambda: abort(500))
        with rt.test_client(user=42) as client:
            assert client.is_connected

    def test_pages_of_other_origins_are_refused(self) -> None:
        _, rt = with_sessions()
        client = rt.test_client(headers={"Origin": "https://other.example"})
        with pytest.raises(ConnectionClosed, match="origin"):
            client.connect()

    def test_without_a_hook_a_client_needs_a_user(self) -> None:
        _, rt = site_under_test()
        with pytest.raises(ConnectionClosed, match="invalid token"):
            rt.test_client().connect()

    def test_an_insecure_server_needs_no_token(self) -> None:
        app = Flask("site")
        app.config.update(TESTING=True, GENTRIFUGO_INSECURE=True, GENTRIFUGO_PRESENCE=True)
        rt = Gentrifugo(app)
        with rt.test_client(user="42") as client:
            client.subscribe("news")
            assert [who.user for who in rt.presence("news").values()] == ["42"]

    def test_client_receives_the_close_reason(self) -> None:
        _, rt = site_under_test()
        with rt.test_client(user=42) as client:
            rt.disconnect(42)
            assert client.closed is not None
            assert (client.closed.reason, client.closed.reconnect) == ("disconnect", False)
            for call in (lambda: client.subscribe("news"), client.receive):
                with pytest.raises(ConnectionClosed, match="disconnect"):
                    call()

    def test_time_passes_while_a_client_waits(self) -> None:
        _, rt = site_under_test(connection_lifetime=1, expired_connection_close_delay=0.01)
        with rt.test_client(user=42) as client:
            assert client.wait_closed(seconds(5)).reason == "expired"

    def test_a_connection_is_renewed(self) -> None:
        _, rt = site_under_test(connection_lifetime=60)
        seen = []
        rt.on_refresh(lambda context: seen.append(context.user))
        with rt.test_client(user=42) as client:
            client.refresh()
        assert seen == ["42"]

    def test_a_client_connects_again(self) -> None:
        _, rt = site_under_test()
        client = rt.test_client(user=42).connect()
        first = client.id
        client.disconnect()
        client.disconnect()
        assert client.closed is None
        with pytest.raises(ConnectionClosed, match="the client has disconnected"):
            client.receive()
        assert client.connect().id not in ("", first)
        with pytest.raises(RuntimeError, match="already connected"):
            client.connect()
        client.disconnect()

    def test_a_client_that_is_not_connected_can_disconnect(self) -> None:
        _, rt = site_under_test()
        client = rt.test_client(user=42)
        client.disconnect()
        assert (client.is_connected, client.closed) == (False, None)

    def test_commands_need_a_connection(self) -> None:
        _, rt = site_under_test()
        with pytest.raises(RuntimeError, match=r"call connect\(\)"):
            rt.test_client(user=42).subscribe("news")


class TestCommands:
    def test_messages_arrive_at_every_subscriber(self) -> None:
        _, rt = site_under_test(publish=True)
        with rt.test_client(user="ann") as ann, rt.test_client(user="bob") as bob:
            for client in (ann, bob):
                client.subscribe("news")
            rt.publish("news", {"n": 1})
            ann.publish("news", {"n": 2})
            for client in (ann, bob):
                first, second = client.receive(), client.receive()
                assert (first.kind, first.channel, first.data, first.info) == ("message", "news", {"n": 1}, None)
                assert (second.data, second.client) == ({"n": 2}, ann.id)
                assert second.info is not None
                assert second.info.user == "ann"

    def test_joins_leaves_and_unsubscribes_arrive(self) -> None:
        _, rt = site_under_test(join_leave=True)
        with rt.test_client(user="ann") as ann:
            ann.subscribe("news")
            with rt.test_client(user="bob") as bob:
                bob.subscribe("news")
            rt.unsubscribe("ann", "news")
            pushes = ann.receive_all()
        assert [(push.kind, push.info.user if push.info else "") for push in pushes] == [
            ("join", "ann"),
            ("join", "bob"),
            ("leave", "bob"),
            ("leave", "ann"),
            ("unsubscribe", ""),
        ]

    def test_unsubscribed_client_receives_no_messages(self) -> None:
        _, rt = site_under_test()
        with rt.test_client(user=42) as client:
            client.subscribe("news")
            client.unsubscribe("news")
            rt.publish("news", 1)
            assert client.receive_all() == []
            with pytest.raises(TimeoutError, match=r"nothing within 0\.01 s"):
                client.receive(timeout=0.01)

    def test_history_is_read_and_missed_messages_are_recovered(self) -> None:
        _, rt = site_under_test(history_size=10, history_lifetime=60, recover=True)
        rt.publish("news", 0)
        client = rt.test_client(user=42).connect()
        last = client.subscribe("news").last
        client.disconnect()
        rt.publish("news", 1)
        with client:
            reply = client.subscribe("news", recover=True, last=last)
            assert ([message.data for message in reply.messages], reply.recovered) == ([1], True)
            assert client.history("news") == rt.history("news")

    def test_rejected_command_has_an_error_text(self) -> None:
        _, rt = site_under_test()
        rt.on_subscribe(lambda context: context.channel != "closed")
        with rt.test_client(user=42) as client:
            for call, text in (
                (lambda: client.subscribe("unknown:news"), "namespace not found"),
                (lambda: client.subscribe("closed"), "permission denied"),
                (lambda: client.presence("news"), "permission denied"),
                (lambda: client.publish("news", 1), "permission denied"),
            ):
                with pytest.raises(CommandError, match=text):
                    call()
            assert client.is_connected

    def test_client_can_send_any_command_of_the_protocol(self) -> None:
        _, rt = site_under_test()
        with rt.test_client(user=42) as client:
            assert client.command("ping", data="x") == {"data": "x"}
            with pytest.raises(ConnectionClosed, match="method not found"):
                client.command("nothing")


class TestPrivateChannels:
    def test_client_requests_the_signature_of_a_private_channel_from_a_hook(self) -> None:
        _, rt = site_under_test(presence=True)

        @rt.on_private_subscribe
        def decide(context: Context) -> bool:
            context.info = {"seat": 3}
            return context.channel == "$mine"

        with rt.test_client(user=42) as client:
            client.subscribe("$mine")
            assert [who.channel_info for who in client.presence("$mine").values()] == [{"seat": 3}]
            with pytest.raises(CommandError, match=r"/centrifuge/auth/ returned no signature for \$other: status 403"):
                client.subscribe("$other")

    def test_view_of_the_application_can_sign_channels(self) -> None:
        app, rt = site_under_test(secret="key")

        @app.post("/centrifuge/auth/")
        def auth() -> Response:
            asked = request.get_json()
            return jsonify({name: {"sign": sign(asked["client"], name, secret="key")} for name in asked["channels"]})

        with rt.test_client(user=42) as client:
            client.subscribe("$mine")
            rt.publish("$mine", 1)
            assert client.receive()[:3] == Push("message", "$mine", 1)[:3]

    def test_test_can_pass_the_signature_of_a_private_channel(self) -> None:
        _, rt = site_under_test(secret="key")
        with rt.test_client(user=42) as client:
            client.subscribe("$mine", sign=sign(client.id, "$mine", secret="key"))
            with pytest.raises(CommandError, match="permission denied"):
                client.subscribe("$other", sign="wrong")
            with pytest.raises(CommandError, match=r"returned no signature for .*: status 404"):
                client.subscribe("$other")

    def test_stats_contain_the_test_server(self) -> None:
        _, rt = site_under_test()
        with rt.test_client(user=42):
            (node,) = rt.stats()["nodes"]
        assert node["name"]

    def test_a_connection_that_stays_open_is_a_timeout(self) -> None:
        _, rt = site_under_test()
        with rt.test_client(user=42) as client, pytest.raises(TimeoutError, match=r"has not closed .* within 0 s"):
            client.wait_closed(timeout=0)

    def test_messages_waiting_for_a_broken_client_are_dropped(self) -> None:
        inbox = FrameInbox(Flusher(0), 1000)
        inbox.frames, inbox.size = [b"a"], 1
        inbox.fail("Broken pipe")
        assert (inbox.frames, inbox.size, list(inbox.received)) == ([], 0, [])
