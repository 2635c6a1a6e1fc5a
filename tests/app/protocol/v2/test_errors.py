"""Codes of protocol version 2: their effect on clients, and the codes for errors of the node."""

from __future__ import annotations

import pytest

from gentrifugo.app.model import errors as model
from gentrifugo.app.node.commands import UNRECOVERABLE
from gentrifugo.app.protocol.v2 import errors
from gentrifugo.app.protocol.v2.errors import CodedDisconnect, CodedError, Unsubscribed

ERRORS = [value for value in vars(errors).values() if isinstance(value, CodedError)]
DISCONNECTS = [value for value in vars(errors).values() if isinstance(value, CodedDisconnect)]
UNSUBSCRIBED = [value for value in vars(errors).values() if isinstance(value, Unsubscribed)]


@pytest.mark.parametrize("codes", [ERRORS, DISCONNECTS, UNSUBSCRIBED])
def test_no_code_is_given_twice(codes: list[CodedError | CodedDisconnect | Unsubscribed]) -> None:
    numbers = [each.code for each in codes]
    assert len(numbers) == len(set(numbers)) > 1


def test_error_codes_are_those_from_100_to_113() -> None:
    assert [error.code for error in ERRORS] == list(range(100, 114))


def test_only_temporary_errors_are_marked_temporary() -> None:
    assert [error.code for error in ERRORS if error.temporary] == [100, 111, 113]


@pytest.mark.parametrize(
    ("code", "reconnects"),
    [
        (3000, True),
        (3499, True),
        (3500, False),
        (3999, False),
        (4000, True),
        (4499, True),
        (4500, False),
        (4999, False),
    ],
)
def test_disconnect_code_determines_whether_clients_reconnect(code: int, reconnects: bool) -> None:
    assert CodedDisconnect(code, "any").reconnects is reconnects


def test_every_reason_fits_into_a_close_frame() -> None:
    assert all(len(disconnect.reason.encode()) <= model.MAX_REASON_BYTES for disconnect in DISCONNECTS)


@pytest.mark.parametrize("name", [name for name, value in vars(model).items() if isinstance(value, model.Error)])
def test_every_error_of_the_node_has_a_code(name: str) -> None:
    assert errors.error_of(getattr(model, name)) in ERRORS


def test_advice_of_the_node_does_not_change_the_code() -> None:
    assert errors.error_of(model.INTERNAL_ERROR.advise(model.RETRY)) is errors.ERROR_INTERNAL


def test_an_error_text_of_an_application_is_kept() -> None:
    assert errors.error_of(model.Error("not today", model.FIX)) == CodedError(103, "not today")


@pytest.mark.parametrize("name", [name for name, value in vars(model).items() if isinstance(value, model.Disconnect)])
def test_every_close_reason_of_the_node_has_a_code(name: str) -> None:
    assert errors.disconnect_of(getattr(model, name)) in DISCONNECTS


@pytest.mark.parametrize(("reconnect", "code"), [(True, 4000), (False, 4500)])
def test_a_close_reason_of_an_application_is_kept(reconnect: bool, code: int) -> None:
    assert errors.disconnect_of(model.Disconnect("closed for today", reconnect)) == CodedDisconnect(
        code, "closed for today"
    )


def test_exceptions_show_their_data() -> None:
    assert str(errors.CodedRefusal(errors.ERROR_BAD_REQUEST)) == "bad request"
    assert str(errors.CodedClosing(errors.STALE)) == "stale"
    assert str(errors.CodedClosing(errors.INVALID_TOKEN, "wrong audience")) == "invalid token: wrong audience"


def test_a_close_code_of_a_backend_is_kept() -> None:
    assert errors.disconnect_of(model.Disconnect("bye", backend_code=4123)) == CodedDisconnect(4123, "bye")


def test_a_position_that_the_node_cannot_find_has_its_code() -> None:
    assert errors.error_of(UNRECOVERABLE) == errors.ERROR_UNRECOVERABLE_POSITION
