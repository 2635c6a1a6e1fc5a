"""The fields that are read from declarations of messages."""

from __future__ import annotations

from typing import Annotated

import pytest

from gentrifugo.app.protocol.v2.fields import Cardinality, Field, Kind, Message, fields_of
from gentrifugo.app.protocol.v2.messages import FilterNode, HistoryRequest, StreamPosition
from tests.protocol_v2_samples import TYPES


class WithoutNumber(Message):
    """A message that cannot be encoded."""

    name: str = ""


class OfUnknownType(Message):
    """A message that cannot be encoded."""

    name: Annotated[float, 1] = 0.0


def test_a_field_has_the_name_the_number_and_the_kind_of_its_declaration() -> None:
    assert fields_of(HistoryRequest) == (
        Field("channel", 1, Kind.TEXT),
        Field("limit", 7, Kind.INT32),
        Field("since", 8, Kind.MESSAGE, message=StreamPosition),
        Field("reverse", 9, Kind.BOOL),
    )


def test_a_field_may_have_several_values_and_messages_of_its_own_type() -> None:
    assert fields_of(FilterNode)[-2:] == (
        Field("vals", 5, Kind.TEXT, Cardinality.LIST),
        Field("nodes", 6, Kind.MESSAGE, Cardinality.LIST, FilterNode),
    )


@pytest.mark.parametrize("type_", TYPES)
def test_no_number_is_given_twice_in_a_message(type_: type[Message]) -> None:
    numbers = [field.number for field in fields_of(type_)]
    assert len(numbers) == len(set(numbers))


def test_a_field_without_a_number_is_refused() -> None:
    with pytest.raises(TypeError, match="field name: expected an annotation with a field number"):
        fields_of(WithoutNumber)


def test_a_field_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="field name: unsupported type"):
        fields_of(OfUnknownType)
