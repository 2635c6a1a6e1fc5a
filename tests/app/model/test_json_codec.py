"""Behaviour of decoding: raw JSON stays unchanged, and invalid JSON is refused with a reason."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from gentrifugo.app.model.json_codec import (
    MAX_NESTING,
    InvalidJSON,
    check_nesting,
    check_utf8,
    decode,
    decode_value,
    decode_values,
    encode_value,
    is_json,
)

RAW = msgspec.json.Decoder(msgspec.Raw)


class Parcel(msgspec.Struct):
    """A text and JSON of any kind, like the commands of the protocol."""

    name: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")


PARCEL = msgspec.json.Decoder(Parcel)
PARCELS = msgspec.json.Decoder(list[Parcel])

any_text = st.text(st.characters(codec=None))  # with lone surrogates, as JavaScript has them
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | any_text,
    lambda inner: st.lists(inner) | st.dictionaries(any_text, inner),
)

NOT_JSON = [
    *(b"", b" ", b"tru", b"nul", b"nan", b"NaN", b"Infinity", b"-", b"+1", b".5", b"1.", b"1e", b"01", b"-01", b"0x1"),
    *(b"'a'", b'"a', b'"\\x"', b'"\\u12"', b'"\\u12g4"', b'"\n"', b'"\0"', b"[1,]", b"[1 2]", b'{"a":1,}', b"{1:2}"),
    *(b'{"a"}', b"[", b"]", b"1 2", b"{}{}", b"\xef\xbb\xbf1", b"\x0c1", b"/* */1", b"undefined", b"\\ud800"),
    *(b'"\\ud800" 1', b'["\\ud800",]', b'["\\ud800", \\ud800]', b'"\\ud800', b'"\\ud80"', b'{"\\ud800":}'),
]

KEPT = [
    *(b"0", b"-0", b"1e3", b"1E+3", b"1.50", b"-0.0", b"1e400", b"1" * 400, b"true", b"null", b'""', b"[]", b"{}"),
    *(
        b'{"b":1,"a":2}',
        b'{"a":1,"a":2}',
        b"[ 1 ,\t2\r\n]",
        b'"\\u0041"',
        b'"\\/"',
        b'"\x7f"',
        '"é日😀\u2028"'.encode(),
    ),
    *(b'"\\ud83d\\ude00"', b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud800\\ud800\\udc00"', b'{"\\uDfFf":"\\uD800"}'),
    *(
        b'"\\\\ud800"',
        b'"\\\\\\ud800"',
        b'"\\"\\ud800"',
        b'"\\ud800\\\\"',
        b'"\\ud800 \\u0041 \\n"',
        b'"\\ud800\\u0041"',
    ),
]


@pytest.mark.parametrize("text", KEPT)
def test_spelling_of_json_is_preserved(text: bytes) -> None:
    assert bytes(decode(RAW, text)) == text
    assert is_json(text)


@pytest.mark.parametrize("text", NOT_JSON)
def test_invalid_json_is_refused(text: bytes) -> None:
    assert not is_json(text)
    with pytest.raises(InvalidJSON):
        decode(RAW, text)


@given(any_json, st.booleans(), st.sampled_from([None, 1, "\t"]))
@example({"\ud800": "\\ud800"}, True, None)
def test_any_json_survives_byte_for_byte(value: Any, ascii_only: bool, indent: Any) -> None:
    text = as_sent(value, ascii_only, indent)
    assert bytes(decode(RAW, text)) == text
    assert bytes(decode(PARCEL, b'{"name":"n","data":%b}' % text).data) == text
    first, second = decode(PARCELS, b'[{"data":%b},{"data":"\\ud800","name":"n"}]' % text)
    assert (bytes(first.data), bytes(second.data), second.name) == (text, b'"\\ud800"', "n")


@given(any_text)
def test_lone_surrogates_in_decoded_text_become_replacement_characters(text: str) -> None:
    decoded = decode(PARCEL, b'{"name":%b}' % json.dumps(text).encode()).name
    assert decoded == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@given(st.binary() | st.text('[]{}":,\\u d8019ef-+.tnalsrue ', max_size=12).map(str.encode))
def test_accepted_json_is_also_accepted_by_the_standard_library(text: bytes) -> None:
    assume(not {b"NaN", b"Infinity"} & {text.strip(b" \t\r\n-")})
    assert is_json(text) == standard_library_accepts(text)


def test_errors_contain_reason_and_position() -> None:
    with pytest.raises(InvalidJSON, match="invalid character"):
        decode(PARCEL, b'{"name": x}')
    with pytest.raises(InvalidJSON, match=r"Expected `string`, got `number` - at `\$.name`"):
        decode(PARCEL, b'{"name": 42}')


def test_error_for_a_wrong_type_is_the_same_with_a_lone_surrogate() -> None:
    with pytest.raises(InvalidJSON, match=r"Expected `string`, got `number` - at `\$.name`"):
        decode(PARCEL, b'{"data": "\\ud800", "name": 42}')


def test_lone_surrogate_in_an_unknown_field_is_skipped() -> None:
    assert decode(PARCEL, b'{"\\udfff": ["\\ud800"], "name": "n"}') == Parcel("n")


@pytest.mark.parametrize("before", [b"", b'"\\ud800",'], ids=["plain", "with a lone surrogate"])
@pytest.mark.parametrize("depth", [MAX_NESTING + 1, sys.getrecursionlimit(), 100_000])
def test_deep_nesting_is_refused_by_every_decoder(before: bytes, depth: int) -> None:
    text = b"[" + before + b"[" * (depth - 1) + b"]" * depth
    assert not is_json(text)
    for reader in (check_nesting, decode_value):
        with pytest.raises(InvalidJSON, match="nested too deeply"):
            reader(text)


@pytest.mark.parametrize("before", [b"", b'"\\ud800",'], ids=["plain", "with a lone surrogate"])
def test_nesting_up_to_the_limit_is_accepted_by_every_decoder(before: bytes) -> None:
    text = b"[" + before + b"[" * (MAX_NESTING - 1) + b"]" * MAX_NESTING
    assert is_json(text)
    assert bytes(decode(PARCEL, b'{"data":%b}' % text).data) == text
    assert encode_value(decode_value(text)) == text.replace(b"\\ud800", "\ufffd".encode())


def test_brackets_in_strings_are_not_nesting() -> None:
    text = json.dumps(['[{\\"[' * 1000, "\\", "[" * 1000]).encode()
    check_nesting(text)
    assert is_json(text)


@pytest.mark.parametrize("end", [b"", b"\\"], ids=["plain", "with a backslash at its end"])
def test_a_string_without_an_end_is_searched_once_for_brackets(end: bytes) -> None:
    """A search from each of the escaped quotes that an API request may contain would take a day."""
    text = b'"' + b'\\"' * 5_000_000 + b"[" * (MAX_NESTING + 1) + end
    check_nesting(text)
    assert not is_json(text)


JSON_TOKENS = st.sampled_from([b"[", b"]", b"{", b"}", b'"', b'""', b'"a"', b'"]"', b'"[\\"{"', b'"\\\\"', b"1,", b":"])


def depth_of(text: bytes) -> int:
    """The deepest level of a text, read byte by byte up to a backslash outside strings, where every decoder stops."""
    deepest = depth = 0
    in_string = escaped = False
    for byte in text.decode():
        if escaped:
            escaped = False
        elif in_string:
            escaped, in_string = byte == "\\", byte != '"'
        elif byte == '"':
            in_string = True
        elif byte == "\\":
            return deepest
        else:
            depth += (byte in "[{") - (byte in "]}")
            deepest = max(deepest, depth)
    return deepest


@given(st.lists(JSON_TOKENS), st.integers(0, 5))
@example([b"[" * 20, b"]" * 20], 19)
@example([b"[" * 20, b"]" * 20], 20)
@example([b'"[""]"', b"[[", b"]]"], 1)
def test_levels_are_counted_as_if_byte_by_byte(tokens: list[bytes], limit: int) -> None:
    text = b"".join(tokens)
    if len(text) >= 2 * limit and depth_of(text) > limit:
        with pytest.raises(InvalidJSON, match="nested too deeply"):
            check_nesting(text, limit)
    elif not has_backslash_outside_strings(text):
        check_nesting(text, limit)


def has_backslash_outside_strings(text: bytes) -> bool:
    return b"\\" in re.sub(rb'"(?:[^"\\]|\\.)*+"?', b"", text)


@pytest.mark.parametrize("before", [b'[[\\"', b'[["\\"[[["\\'], ids=["", "after a string"])
def test_levels_before_a_backslash_outside_strings_are_counted(before: bytes) -> None:
    """A decoder reads the text up to the backslash."""
    with pytest.raises(InvalidJSON, match="nested too deeply"):
        check_nesting(before + b'"[]]', 1)


def test_many_brackets_side_by_side_are_not_nesting() -> None:
    text = b"[" + b"[],{}," * 5000 + b"[]]"
    assert is_json(text)


@given(any_json, st.booleans(), st.sampled_from([None, 1, "\t"]))
@example([float("1e308") * 10], False, None)
def test_every_accepted_json_is_read_as_python_values(value: Any, ascii_only: bool, indent: Any) -> None:
    text = as_sent(value, ascii_only, indent).replace(b"Infinity", b"1e999")
    assert is_json(text)
    read = decode_value(text)
    encode_value(read)
    if b"\\u" not in text:
        assert read == json.loads(text, parse_int=as_javascript)


@pytest.mark.parametrize("text", NOT_JSON)
def test_invalid_json_has_no_value(text: bytes) -> None:
    with pytest.raises(InvalidJSON):
        decode_value(text)


@pytest.mark.parametrize("text", [b'"\xff"', b'"\xed\xa0\x80"', b'"\xc3"'])
def test_invalid_utf_8_is_not_json(text: bytes) -> None:
    assert not is_json(text)


def as_sent(value: Any, ascii_only: bool, indent: Any) -> bytes:
    """JSON as other programs write it; only an escape can hold a lone surrogate."""
    try:
        return json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent).encode()


def as_javascript(digits: str) -> int | float:
    return int(digits) if len(digits) < 4000 else float(digits)


def standard_library_accepts(text: bytes) -> bool:
    try:
        json.loads(text.decode())
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("before", [b"", b'"\\ud800",'], ids=["plain", "with a lone surrogate"])
def test_deep_nesting_in_an_unknown_field_is_refused(before: bytes) -> None:
    with pytest.raises(InvalidJSON, match="nested too deeply"):
        decode(PARCEL, b'{"unknown":[%b%b1%b]}' % (before, b"[" * 100_000, b"]" * 100_000))


@pytest.mark.parametrize(
    ("text", "reason"),
    [(b'{"a":', "truncated"), (b"[" * 100_000 + b"]" * 100_000, "nested"), (b'"\xff"', "utf-8|UTF-8"), (b"1", "array")],
    ids=["truncated", "deep", "not UTF-8", "wrong type"],
)
def test_values_that_cannot_be_decoded_are_refused(text: bytes, reason: str) -> None:
    decoder = msgspec.json.Decoder(list[int] if text == b"1" else Any)
    with pytest.raises(InvalidJSON, match=reason):
        decode_values(decoder, text)


def test_half_of_a_surrogate_pair_in_a_value_is_replaced() -> None:
    assert decode_values(msgspec.json.Decoder(list[str]), b'["\\ud800"]') == ["\ufffd"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [(object(), "objects of type object"), ({(1, 2): 3}, "dicts with str-like or number-like keys")],
)
def test_a_value_that_json_cannot_express_is_named_with_a_remedy(value: object, reason: str) -> None:
    with pytest.raises(TypeError, match=f"{reason}.*; convert it to what JSON can express, such as dictionaries"):
        encode_value(value)


def test_the_first_byte_that_is_not_utf8_is_named() -> None:
    data = '{"a":"é"}'.encode()
    check_utf8(data)
    assert decode(RAW, b'{"a":"\xff"}')  # unchecked
    with pytest.raises(InvalidJSON, match=r"^not UTF-8 \(byte 6\)$"):
        check_utf8(b'{"a":"\xff"}')
