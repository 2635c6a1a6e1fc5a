"""Failed requests are sent again unless they could publish twice; the server fails in given ways."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest

from gentrifugo import APIError, Client, ClientError, StatusError, TransportError
from gentrifugo.client import commands, commands_v1
from gentrifugo.client.errors import REFUSED
from gentrifugo.client.retries import FIRST_DELAY, MAX_DELAY, delay_before_retry, transport_error
from gentrifugo.client.wire import Request
from tests.client.flaky_server import LOST, SILENT, Failure, flaky
from tests.credentials import API_KEY, SECRET
from tests.servers import Server
from tests.waiting import seconds

URL = "http://localhost/api/publish"
DOWN = (REFUSED, "the server is shutting down")
SHORT = 1.0
"""Seconds after which a client gives up a request that has no reply."""


def request(*, is_repeatable: bool) -> Request:
    return Request(httpx.URL(URL), {}, b"{}", is_repeatable)


def attempts(
    server: Server, failures: Sequence[Failure], call: Callable[[Client], object], **options: Any
) -> list[Any]:
    """The decoded bodies of all requests that a call sends; raises what the call raises."""
    with (
        flaky(server.url, *failures) as between,
        Client(between.url, api_key=API_KEY, secret=SECRET, **{"timeout": seconds(5), **options}) as client,
    ):
        try:
            call(client)
        finally:
            bodies = [json.loads(body) for body in between.bodies]
    return bodies


def failed_attempts(
    server: Server, failures: Sequence[Failure], call: Callable[[Client], object], **options: Any
) -> int:
    """Return how often a call is sent that finally raises ClientError."""
    with (
        flaky(server.url, *failures) as between,
        Client(between.url, api_key=API_KEY, secret=SECRET, **{"timeout": seconds(5), **options}) as client,
    ):
        with pytest.raises(ClientError):
            call(client)
        return len(between.bodies)


class TestPublications:
    @pytest.mark.parametrize("failure", [LOST, (502, ""), (504, "<html>"), DOWN], ids=["lost", "502", "504", "503"])
    def test_a_publication_is_sent_again_and_published_once(
        self, server: Server, channel: str, failure: Failure
    ) -> None:
        first, second = attempts(server, [failure], lambda client: client.publish(channel, "hello"))
        assert first == second
        assert first["idempotency_key"]
        with Client(server.url, api_key=API_KEY) as client:
            assert [one.data for one in client.history(channel, limit=-1).publications] == ["hello"]

    def test_missing_reply_causes_a_timeout_and_a_retry(self, server: Server, channel: str) -> None:
        sent = attempts(server, [SILENT], lambda client: client.publish(channel, "hello"), timeout=SHORT)
        assert len(sent) == 2
        with Client(server.url, api_key=API_KEY) as client:
            assert client.history(channel, limit=0).offset == 1

    def test_each_call_has_another_key_and_a_given_key_is_kept(self, server: Server, channel: str) -> None:
        command = commands.publish(channel, 1)

        def call(client: Client) -> None:
            client.batch([command, command])
            client.broadcast([channel], 1, idempotency_key="mine")

        batch, broadcast = attempts(server, [], call)
        keys = [one["publish"]["idempotency_key"] for one in batch["commands"]]
        assert len({*keys, broadcast["idempotency_key"]}) == 3
        assert broadcast["idempotency_key"] == "mine"

    def test_a_batch_of_publications_is_sent_again_and_published_once(self, server: Server, channel: str) -> None:
        batch = [commands.publish(channel, number) for number in range(3)]
        first, second = attempts(server, [LOST], lambda client: client.batch(batch))
        assert first == second
        with Client(server.url, api_key=API_KEY) as client:
            assert client.history(channel, limit=0).offset == 3

    def test_without_retries_publications_have_no_key(self, server: Server, channel: str) -> None:
        (sent,) = attempts(server, [], lambda client: client.publish(channel, 1), retries=0)
        assert "idempotency_key" not in sent
        assert failed_attempts(server, [LOST], lambda client: client.publish(channel, 1), retries=0) == 1

    def test_an_empty_key_is_not_sent_again_when_it_may_have_been_published(self, server: Server, channel: str) -> None:
        def call(client: Client) -> None:
            client.publish(channel, 1, idempotency_key="")

        assert failed_attempts(server, [LOST], call) == 1
        assert len(attempts(server, [DOWN], call)) == 2

    def test_publications_of_v1_are_sent_again_only_if_they_were_not_carried_out(
        self, server: Server, channel: str
    ) -> None:
        calls: Sequence[Callable[[Client], object]] = (
            lambda client: client.v1.publish(channel, 1),
            lambda client: client.v1.broadcast([channel], 1),
            lambda client: client.v1.batch([commands_v1.stats(), commands_v1.publish(channel, 1)]),
        )
        for call in calls:
            assert failed_attempts(server, [LOST], call) == 1
            assert failed_attempts(server, [(504, "")], call) == 1
            assert len(attempts(server, [DOWN], call)) == 2


class TestOtherCommands:
    def test_reading_commands_are_sent_again(self, server: Server) -> None:
        assert len(attempts(server, [LOST, (502, "")], lambda client: client.info())) == 3
        assert len(attempts(server, [LOST, DOWN], lambda client: client.v1.stats())) == 3

    def test_the_last_failure_is_raised(self, server: Server) -> None:
        with flaky(server.url, LOST, LOST, DOWN) as between, Client(between.url, api_key=API_KEY) as client:
            with pytest.raises(StatusError, match=r"status 503 .*retry later") as raised:
                client.info()
            assert len(between.bodies) == 3
        assert (raised.value.is_temporary, raised.value.may_have_been_carried_out) == (True, False)

    def test_errors_of_the_api_and_other_statuses_are_not_sent_again(self, server: Server) -> None:
        assert failed_attempts(server, [], lambda client: client.publish("unknown:news", 1)) == 1
        for status in (400, 401, 404, 413, 500):
            assert failed_attempts(server, [(status, "no")], lambda client: client.info()) == 1

    def test_a_lost_reply_and_a_timeout_say_that_the_command_may_have_been_carried_out(self, server: Server) -> None:
        for failure, text in ((LOST, ""), (SILENT, "timeout, no reply within 1 s")):
            with (
                flaky(server.url, failure) as between,
                Client(between.url, api_key=API_KEY, timeout=SHORT, retries=0) as client,
                pytest.raises(TransportError, match=f"{text}.*the server may have received the command") as raised,
            ):
                client.info()
            assert raised.value.may_have_been_carried_out
            assert API_KEY not in str(raised.value)


class TestDelays:
    def test_delays_grow_up_to_a_limit(self) -> None:
        error = StatusError(URL, 502, "")
        for attempt in range(20):
            delay = delay_before_retry(error, request(is_repeatable=True), attempt, 20)
            assert delay is not None
            longest = min(FIRST_DELAY * 2**attempt, MAX_DELAY)
            assert longest / 2 <= delay <= longest
        assert delay_before_retry(error, request(is_repeatable=True), 20, 20) is None

    def test_a_server_can_ask_for_a_longer_delay_up_to_the_limit(self) -> None:
        for asked, expected in ((2, 2), (3600, MAX_DELAY)):
            error = StatusError(URL, REFUSED, "", asked)
            assert delay_before_retry(error, request(is_repeatable=False), 0, 1) == expected

    def test_a_request_that_was_not_sent_is_sent_again_for_every_command(self) -> None:
        plain = httpx.Request("POST", URL, extensions={"timeout": {"connect": 3, "read": 5}})
        for error in (httpx.ConnectError("refused"), httpx.ConnectTimeout("", request=plain)):
            failure = transport_error(request(is_repeatable=False), error)
            assert delay_before_retry(failure, request(is_repeatable=False), 0, 1) is not None
        assert "timeout, no connection within 3 s" in str(failure)

    def test_a_timeout_is_described_with_the_limit_of_its_phase(self) -> None:
        limits = {"connect": 1, "pool": 30, "read": 2, "write": 5}
        plain = httpx.Request("POST", URL, extensions={"timeout": limits})
        for type_, text in (
            (httpx.ConnectTimeout, "no connection within 1 s"),
            (httpx.PoolTimeout, "no free connection within 30 s"),
            (httpx.WriteTimeout, "request not sent within 5 s"),
            (httpx.TimeoutException, "no reply within 2 s"),
        ):
            assert text in str(transport_error(request(is_repeatable=True), type_("", request=plain)))

    def test_a_timeout_without_a_limit_is_described_without_a_number(self) -> None:
        plain = httpx.Request("POST", URL, extensions={"timeout": {"connect": 1, "read": None}})
        error = transport_error(request(is_repeatable=True), httpx.TimeoutException("", request=plain))
        assert "timeout, no reply" in str(error)
        assert "within" not in str(error)

    def test_a_request_that_may_be_carried_out_is_sent_again_only_if_it_is_repeatable(self) -> None:
        failure = transport_error(request(is_repeatable=True), httpx.ReadError(""))
        assert "ReadError" in str(failure)
        assert delay_before_retry(failure, request(is_repeatable=True), 0, 1) is not None
        assert delay_before_retry(failure, request(is_repeatable=False), 0, 1) is None

    def test_internal_error_is_temporary_but_not_retried(self) -> None:
        error = APIError(URL, "publish", 100, "internal server error")
        assert (error.is_temporary, error.may_have_been_carried_out) == (True, True)
        assert "see the log of the server for the reason" in str(error)
