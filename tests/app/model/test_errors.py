"""Behaviour of errors and disconnects: what clients compare, and what fits into a close frame."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError

import pytest

from gentrifugo.app.model import errors
from gentrifugo.app.model.errors import FIX, RETRY, Closing, Disconnect, Error, Refused

ERRORS = {name: value for name, value in vars(errors).items() if isinstance(value, Error)}
DISCONNECTS = {name: value for name, value in vars(errors).items() if isinstance(value, Disconnect)}

TEXTS = {
    "invalid message": FIX,
    "namespace not found": FIX,
    "permission denied": FIX,
    "already subscribed": FIX,
    "limit exceeded": FIX,
    "not available": "",
    "internal server error": "",
}

REASONS = {
    "invalid message": False,
    "method not found": False,
    "unauthorized": False,
    "invalid token": False,
    "limit exceeded": False,
    "internal server error": True,
    "stale": False,
    "expired": True,
    "insufficient state": True,
    "slow": False,
    "shutting down": True,
    "disconnect": False,
    "error sending message": True,
    "write ping error": True,
}


def test_texts_and_advice_are_those_of_the_protocol() -> None:
    assert {error.text: error.advice for error in ERRORS.values()} == TEXTS


def test_reasons_and_reconnect_are_those_of_the_protocol() -> None:
    assert {disconnect.reason: disconnect.reconnect for disconnect in DISCONNECTS.values()} == REASONS


def test_an_error_can_carry_another_advice() -> None:
    assert errors.NOT_AVAILABLE.advise(RETRY) == Error("not available", RETRY)
    assert errors.NOT_AVAILABLE.advice == ""


def test_errors_compare_by_value_and_are_immutable() -> None:
    assert Error("internal server error") == errors.INTERNAL_ERROR
    with pytest.raises(FrozenInstanceError):
        errors.INTERNAL_ERROR.text = "other"  # type: ignore[misc]


@pytest.mark.parametrize("disconnect", DISCONNECTS.values(), ids=DISCONNECTS)
def test_a_close_reason_is_json_that_fits_into_a_close_frame(disconnect: Disconnect) -> None:
    assert json.loads(disconnect.close_reason) == {"reason": disconnect.reason, "reconnect": disconnect.reconnect}
    assert len(disconnect.close_reason.encode()) <= 123
    assert disconnect.code == 3000


def test_exceptions_show_the_text_of_their_error() -> None:
    assert str(Refused(errors.NOT_AVAILABLE)) == "not available"
    assert str(Closing(errors.CLOSE_STALE)) == "stale"
