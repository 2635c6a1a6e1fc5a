"""Tables on pages match the declarations in the code."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from gentrifugo.app.config.channel_options import PROXIED, ChannelOptions
from gentrifugo.app.config.config import Config
from gentrifugo.app.config.options import options_of
from gentrifugo.app.config.site_options import PROCESS_OPTIONS
from gentrifugo.app.model import errors
from gentrifugo.app.model.errors import Disconnect, Error
from gentrifugo.app.node.metrics import COUNTER_NAMES
from gentrifugo.app.protocol.v1.api import _HANDLERS as API_METHODS
from gentrifugo.app.protocol.v1.client import _HANDLERS as CLIENT_METHODS
from gentrifugo.app.protocol.v2 import errors as errors_v2
from gentrifugo.app.protocol.v2.client import _HANDLERS as METHODS_V2
from tests.api_client import APIClient
from tests.credentials import SECRET, sign
from tests.docs.pages import page
from tests.parts import ROOT
from tests.servers import Server

UNITS = {"MiB": 2**20}

T = TypeVar("T")


def declared(type_: type[T]) -> list[T]:
    return [value for value in vars(errors).values() if isinstance(value, type_)]


def test_every_metric_has_its_row(start_server: Callable[..., Server]) -> None:
    stats = page("stats.md")
    gauges = [row[0] for row in stats.table_after("Gauges")]
    counters = [row[0] for part in ("clients", "API", "node") for row in stats.table_after(f"Counters: {part}")]
    beginnings, ends = stats.tables_after("Histograms")
    histograms = [beginning[0] + end[0] for beginning in beginnings for end in ends]
    server = start_server()
    reply = APIClient(server.host, server.port).call("node")
    assert sorted(counters) == sorted(COUNTER_NAMES)
    assert sorted(gauges + counters + histograms) == sorted(reply["body"]["data"]["metrics"])


def test_every_error_has_its_row_and_its_advice() -> None:
    rows = {row[0]: row[1] for row in page("protocol.md").table_after("Errors")}
    assert set(rows) == {error.text for error in declared(Error)}
    assert all(rows[error.text] == error.advice for error in declared(Error) if error.advice)


def test_every_close_reason_has_its_row_and_its_advice() -> None:
    rows = {row[0]: row[1] == "true" for row in page("protocol.md").table_after("Closes")}
    assert rows == {close.reason: close.reconnect for close in declared(Disconnect)}


def test_every_error_of_v2_has_its_row() -> None:
    rows = {(int(row[0]), row[1]): "temporary" in row[2] for row in page("protocol-v2.md").table_after("Errors")}
    known = [error for error in vars(errors_v2).values() if isinstance(error, errors_v2.CodedError)]
    assert rows == {(error.code, error.message): error.temporary for error in known}


def test_every_close_of_v2_has_its_row() -> None:
    rows = {(int(row[0]), row[1]) for row in page("protocol-v2.md").table_after("Closes")}
    known = [close for close in vars(errors_v2).values() if isinstance(close, errors_v2.CodedDisconnect)]
    assert rows == {(close.code, close.reason) for close in known}


def test_every_end_of_a_subscription_of_v2_has_its_row() -> None:
    rows = {(int(row[0]), row[1]) for row in page("protocol-v2.md").tables_after("Pushes")[1]}
    known = [end for end in vars(errors_v2).values() if isinstance(end, errors_v2.Unsubscribed)]
    assert rows == {(end.code, end.reason) for end in known}


def test_reserved_codes_of_v2_are_those_that_the_server_does_not_send() -> None:
    pages = page("protocol-v2.md")
    tables = (pages.table_after("Errors"), pages.table_after("Closes"), pages.tables_after("Pushes")[1])
    reserved = {int(row[0]) for table in tables for row in table if row[2].startswith("reserved")}
    uses = Counter(word for file in (ROOT / "app").rglob("*.py") for word in re.findall(r"[A-Z_]+", file.read_text()))
    kinds = (errors_v2.CodedError, errors_v2.CodedDisconnect, errors_v2.Unsubscribed)
    assert reserved == {
        value.code for name, value in vars(errors_v2).items() if isinstance(value, kinds) and uses[name] == 1
    }


def test_every_method_of_v2_has_its_row() -> None:
    methods = {row[0] for row in page("protocol-v2.md").table_after("Commands")}
    assert methods == set(METHODS_V2)


def test_every_command_has_its_heading() -> None:
    assert set(CLIENT_METHODS) <= set(page("protocol.md").headings)
    assert set(API_METHODS) <= set(page("api.md").headings)


def test_every_channel_option_has_its_row() -> None:
    """One table has what a channel keeps, one what each kind of clients may do, and one what a backend decides."""
    kept, rights, proxied = page("channels.md").tables_after("Options")
    of_v1, of_v2 = ({word for row in rights for word in re.findall(r"[a-z_]+", row[column])} for column in (1, 2))
    names = {option.name for option in options_of(ChannelOptions)}
    for_v2 = {name for name in names if name.startswith(("allow", "force"))}
    for_v1 = {"publish", "anonymous"}
    assert sorted(row[0] for row in kept) == sorted(names - for_v2 - for_v1 - {*PROXIED})
    assert [row[0] for row in proxied] == list(PROXIED)
    assert for_v2 <= of_v2
    assert for_v1 <= of_v1
    assert not for_v2 & of_v1


def test_the_options_that_a_reload_changes_are_listed() -> None:
    rows = page("signals.md").table_after("HUP")
    listed = [name for row in rows for name in re.findall(r"\w+", row[1])]
    assert sorted(listed) == sorted(option.name for option in options_of(Config) if option.facts.reload)


def test_the_options_that_an_application_leaves_to_the_command_are_listed() -> None:
    spans = {span.removeprefix("--") for span in page("flask.md").code_spans if span.startswith("--")}
    assert {name for name in PROCESS_OPTIONS if not name.startswith("ssl_")} <= spans
    assert "ssl_" in spans


def test_limits_are_the_defaults() -> None:
    defaults = {option.name: option.default for option in options_of(Config)}
    rows = page("protocol.md").table_after("Limits")
    for name, default in [row[:2] for row in rows] + [row[1:] for row in page("api.md").table_after("Limits")]:
        number, _, unit = default.replace("none", "0").partition(" ")
        assert int(number) * UNITS.get(unit.split(" ")[0], 1) == defaults[name], name


def test_token_examples_have_valid_signatures() -> None:
    rows = page("tokens.md").table_after("Test vectors")
    assert len(rows) >= 6
    for kind, parts, result in rows:
        # Parts are apart by a comma and a space; JSON has these too, but only within braces.
        split = [parts] if kind == "API" else re.split(r", (?![^{]*\})", parts)
        assert sign(*(part.replace("empty", "") for part in split), secret=SECRET) == result, parts
