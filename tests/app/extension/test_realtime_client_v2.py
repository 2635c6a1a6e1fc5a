"""The client of protocol v2 for tests: it communicates with the application under test like client libraries."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, session

from gentrifugo import CommandError, ConnectionClosed, Context, Gentrifugo, Refuse, RPCError, StreamPosition
from tests.flask_sites import nothing_left_behind, site
from tests.waiting import seconds

__all__ = ["nothing_left_behind"]

pytestmark = pytest.mark.usefixtures("nothing_left_behind")

CHAT = {
    "allow_subscribe_for_client": True,
    "allow_publish_for_client": True,
    "allow_presence_for_client": True,
    "allow_history_for_client": True,
    "presence": True,
    "join_leave": True,
    "history_size": 10,
    "history_lifetime": 60,
}


def under_test(**options: Any) -> tuple[Flask, Gentrifugo]:
    app = site(TESTING=True, **{f"GENTRIFUGO_{name.upper()}": value for name, value in (CHAT | options).items()})
    return app, Gentrifugo(app)


class TestConnection:
    def test_a_user_connects_with_a_token(self) -> None:
        _, rt = under_test()
        with rt.test_client_v2(user=42, info={"name": "Ann"}) as client:
            client.subscribe("news")
            (who,) = rt.presence("news").values()
            assert (who.user, who.client, who.default_info) == ("42", client.id, {"name": "Ann"})
        assert not client.is_connected
        assert rt.presence("news") == {}

    def test_token_of_the_test_subscribes_to_its_channels(self) -> None:
        app, rt = under_test(force_recovery=True)
        with app.app_context():
            token = rt.token("ann", channels=["news"])
        with rt.test_client_v2(token=token) as client:
            position = client.subscriptions["news"].position
            assert position is not None
            rt.publish("news", 1)
            assert [push.data for push in client.receive_all() if push.kind == "pub"] == [1]
            client.disconnect()
            rt.publish("news", 2)
            client.connect(recover_since={"news": StreamPosition(1, position.epoch)})
            assert [message.data for message in client.subscriptions["news"].publications] == [2]

    def test_hook_identifies_the_client_by_cookies_and_connect_data(self) -> None:
        app, rt = under_test()
        seen = []

        @rt.on_connect
        def identify(context: Context) -> None:
            if "user" not in session:
                raise Refuse("log in first")
            context.user = session["user"]
            seen.append(context.user)

        @app.get("/login/<user>")
        def login(user: str) -> str:
            session["user"] = user
            return ""

        http = app.test_client()
        with pytest.raises((CommandError, ConnectionClosed)):
            rt.test_client_v2(http=http).connect()
        http.get("/login/ann")
        with rt.test_client_v2(http=http, data={"page": 1}):
            assert seen == ["ann"]

    def test_a_wrong_token_closes_the_connection(self) -> None:
        _, rt = under_test()
        with pytest.raises(ConnectionClosed, match="invalid token") as closed:
            rt.test_client_v2(token="wrong").connect()
        assert (closed.value.code, closed.value.reconnect) == (3500, False)

    def test_client_receives_the_reason_of_a_close(self) -> None:
        _, rt = under_test()
        with rt.test_client_v2(user=42) as client:
            assert client.closed is None
            rt.disconnect(42)
            assert client.wait_closed(seconds(5)).code == 3503
            for call in (lambda: client.subscribe("news"), client.receive, lambda: client.send(1)):
                with pytest.raises(ConnectionClosed, match="force disconnect"):
                    call()

    def test_a_connection_is_renewed(self) -> None:
        app, rt = under_test()
        with app.app_context():
            token = rt.token(42, expires=60)
        with rt.test_client_v2(user=42) as client:
            client.refresh()
            client.refresh(token)
            with pytest.raises(ConnectionClosed):
                client.refresh("wrong")


class TestChannels:
    def test_publications_joins_and_leaves_arrive(self) -> None:
        _, rt = under_test()
        with rt.test_client_v2(user="ann") as ann:
            ann.subscribe("news")
            with rt.test_client_v2(user="bob") as bob:
                bob.subscribe("news")
                bob.publish("news", {"n": 1})
                rt.publish("news", {"n": 2}, tags={"lang": "en"})
            pushes = ann.receive_all()
        assert [push.kind for push in pushes] == ["join", "join", "pub", "pub", "leave"]
        first, second = pushes[2:4]
        assert (first.channel, first.data, first.offset, first.info and first.info.user) == ("news", {"n": 1}, 1, "bob")
        assert (second.data, second.tags, second.info) == ({"n": 2}, {"lang": "en"}, None)

    def test_missed_publications_are_recovered(self) -> None:
        _, rt = under_test()
        client = rt.test_client_v2(user=42).connect()
        position = client.subscribe("news").position
        client.disconnect()
        rt.publish("news", 1)
        with client:
            reply = client.subscribe("news", recover_since=position)
            assert ([message.data for message in reply.publications], reply.recovered) == ([1], True)
            client.unsubscribe("news")
            other = StreamPosition(0, "another epoch")
            assert client.subscribe("news", recover_since=other).recovered is False

    def test_presence_and_history_are_returned(self) -> None:
        _, rt = under_test()
        with rt.test_client_v2(user="ann") as ann:
            ann.subscribe("news")
            for number in range(3):
                rt.publish("news", number)
            assert [who.user for who in ann.presence("news").values()] == ["ann"]
            assert ann.presence_stats("news") == (1, 1)
            history = ann.history("news")
            assert ([message.data for message in history], history.position.offset) == ([0, 1, 2], 3)
            since = StreamPosition(3, history.position.epoch)
            assert [message.data for message in ann.history("news", limit=1, since=since, reverse=True)] == [1]

    def test_closed_channel_requires_a_token(self) -> None:
        _, rt = under_test(allow_subscribe_for_client=False)
        with rt.test_client_v2(user="ann") as ann:
            with pytest.raises(CommandError, match="permission denied") as refused:
                ann.subscribe("news")
            assert refused.value.code == 103
            ann.subscribe("news", token=ann.subscription_token("news", {"seat": 3}), data={"page": 1})
            assert [who.channel_info for who in rt.presence("news").values()] == [{"seat": 3}]

    def test_a_backend_subscribes_and_unsubscribes(self) -> None:
        _, rt = under_test()
        with rt.test_client_v2(user="ann") as ann:
            rt.subscribe("ann", "news", data={"n": 1})
            rt.unsubscribe("ann", "news")
            pushes = [push for push in ann.receive_all() if push.kind not in ("join", "leave")]
        assert [(push.kind, push.channel, push.data, push.code) for push in pushes] == [
            ("subscribe", "news", {"n": 1}, 0),
            ("unsubscribe", "news", None, 2000),
        ]


class TestCallsAndMessages:
    def test_a_call_returns_the_result_or_raises_the_error_of_its_function(self) -> None:
        _, rt = under_test()

        @rt.rpc("double")
        def double(context: Context, data: int) -> int:
            if data < 0:
                raise RPCError(400, "too small")
            return data * 2

        with rt.test_client_v2(user=42) as client:
            assert client.rpc("double", 21) == 42
            for data, code in ((-1, 400), ("text", 107)):
                with pytest.raises(CommandError) as refused:
                    client.rpc("double", data)
                assert refused.value.code == code

    def test_messages_are_sent_in_both_directions(self) -> None:
        _, rt = under_test()

        @rt.on_message
        def seen(context: Context, data: int) -> None:
            rt.send(context.user, {"seen": data})

        with rt.test_client_v2(user=42) as client:
            client.send(3)
            push = client.receive(seconds(1))
        assert (push.kind, push.channel, push.data) == ("message", "", {"seen": 3})
