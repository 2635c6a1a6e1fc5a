"""Decodes JSON from peers into typed structs, whose `Raw` fields stay unchanged, or into Python values.

Independent of commands. In addition to msgspec, it accepts JSON from JavaScript with halves of surrogate pairs, and
limits nesting, so that all peers can read everything that is accepted from one of them.
"""

from __future__ import annotations

import json
import os
import re
from itertools import accumulate
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

MAX_NESTING = 500
"""Maximum levels of nested arrays and objects. Decoders recurse, and Python limits recursion to 1000 calls."""
ENCODABLE = "convert it to what JSON can express, such as dictionaries with texts as keys, lists, texts and numbers"
"""What to do with a Python value that cannot be encoded, as the end of a sentence."""
TOO_DEEP = f"JSON is nested too deeply: more than {MAX_NESTING} levels"


class InvalidJSON(ValueError):
    """The text is not JSON, or does not have the expected structure; the message has the reason and the position."""


class UnknownField(InvalidJSON):
    """An object has a field that its type does not have and forbids."""


def decode(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    """Decode JSON with a msgspec decoder, to the type of the decoder.

    Raises InvalidJSON. The type must not contain `Any`; use `decode_value` for that. The content of `Raw` fields is not
    decoded; use `check_nesting` to limit its levels.
    """
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise _invalid(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if b"\\u" in data:
            return _decode_with_lone_surrogates(decoder, data, error)
        raise InvalidJSON(str(error)) from None
    except RecursionError:
        raise InvalidJSON(TOO_DEEP) from None


def decode_values(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    """Decode JSON with a decoder of any finite type but Raw. Half of a surrogate pair becomes U+FFFD.

    Raises InvalidJSON.
    """
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise _invalid(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        text = _with_replacements(data)
        if text == data:
            raise InvalidJSON(str(error)) from None
    except RecursionError:
        raise InvalidJSON(TOO_DEEP) from None
    return decode_values(decoder, text)


_PYTHON_TYPES = {"str": "string", "bool": "boolean", "int": "number", "float": "number"}


def _invalid(error: Exception) -> InvalidJSON:
    types = _PYTHON_TYPES
    if ", got `float`" in str(error):  # where a whole number is expected
        types = {**types, "int": "integer"}
    text = re.sub(r"\b(str|bool|int|float)\b(?=[^`]*`)", lambda type_: types[type_[0]], str(error))
    return (UnknownField if text.startswith("Object contains unknown field") else InvalidJSON)(text)


def decode_in_any_case(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    """Decode an object as the decoder's struct. Field names may have any case, and unknown fields are ignored.

    The struct must forbid unknown fields. Then objects with the usual names, which are nearly all, need no additional
    time. Raises InvalidJSON.
    """
    try:
        return decode(decoder, data)
    except UnknownField:
        return decode(decoder, _with_known_fields(decoder.type, data))


_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _with_known_fields(type_: Any, data: bytes) -> bytes:
    """Return an object with only the fields of a struct.

    If several fields differ only in case, the last one counts, as in Go.
    """
    fields = {name.lower(): name for name in type_.__struct_encode_fields__}
    known = {fields[name.lower()]: value for name, value in decode(_object, data).items() if name.lower() in fields}
    return b"{%b}" % b",".join(b'"%b":%b' % (name.encode(), bytes(value)) for name, value in known.items())


# JavaScript strings may hold half of a surrogate pair, and JSON.stringify sends it as \ud800.
# RFC 8259 (8.2) lets such text through, msgspec refuses it even where it is not decoded. The
# scan below steps over every escape, so that the escaped backslash in "\\ud800" stays one.
_SURROGATE_PAIR = rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_LONE_SURROGATE = rb"\\(u[dD][89a-fA-F][0-9a-fA-F]{2})"
_ESCAPES = re.compile(_SURROGATE_PAIR + rb"|" + _LONE_SURROGATE + rb"|\\.", re.DOTALL)


def _decode_with_lone_surrogates(decoder: msgspec.json.Decoder[T], data: bytes, error: Exception) -> T:
    """Decode a text in which lone surrogates are replaced by a mark that it does not contain, then restore them."""
    mark = b"<" + os.urandom(8).hex().encode() + b">"
    text = _ESCAPES.sub(lambda escape: mark + escape[1] if escape[1] else escape[0], data)
    if mark not in text:
        raise InvalidJSON(str(error)) from None
    try:
        decoded = decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as again:
        raise _invalid(again) from None
    except RecursionError:
        raise InvalidJSON(TOO_DEEP) from None
    restored: T = _restore(decoded, mark)
    return restored


def _restore(value: Any, mark: bytes) -> Any:
    """Put surrogates back into raw JSON, and U+FFFD into decoded strings, which cannot hold surrogates."""
    if isinstance(value, msgspec.Raw):
        return msgspec.Raw(bytes(value).replace(mark, b"\\"))
    if isinstance(value, str):
        return re.sub(re.escape(mark.decode()) + "u[0-9a-fA-F]{4}", "\ufffd", value)
    if isinstance(value, list):
        return [_restore(item, mark) for item in value]
    if isinstance(value, dict):
        return {_restore(name, mark): _restore(item, mark) for name, item in value.items()}
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            setattr(value, name, _restore(getattr(value, name), mark))
    return value


_raw = msgspec.json.Decoder(msgspec.Raw)
_value = msgspec.json.Decoder()


def decode_value(data: bytes) -> Any:
    """Decode any JSON to Python values, in the same way as JavaScript.

    A number that is out of range becomes infinity, and half of a surrogate pair becomes U+FFFD. Raises InvalidJSON only
    for what `is_json` refuses.
    """
    check_nesting(data)
    try:
        return _value.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _decode_leniently(data)


def decode_embedded(data: bytes) -> Any:
    """Decode JSON that is part of a message to Python values (see `decode_value`); None if it is empty."""
    return decode_value(data) if data else None


def decode_if_json(data: bytes) -> Any:
    """Decode JSON to Python values (see `decode_value`); None if it is empty or not JSON."""
    return decode_value(data) if data and is_json(data) else None


def _decode_leniently(data: bytes) -> Any:
    try:
        text = _with_replacements(data).decode()
        return json.loads(text, parse_int=_integer, parse_constant=_refuse_constant)
    except ValueError as error:
        raise InvalidJSON(str(error)) from None


def _with_replacements(data: bytes) -> bytes:
    """Return the text with U+FFFD in place of halves of surrogate pairs."""
    return _ESCAPES.sub(lambda escape: b"\\ufffd" if escape[1] else escape[0], data)


def _integer(digits: str) -> int | float:
    """Convert an integer; infinity if it has more digits than Python can convert (4300 by default)."""
    try:
        return int(digits)
    except ValueError:
        return float(digits)


def _refuse_constant(name: str) -> None:
    """Refuse NaN and Infinity, which Python's json module accepts although they are not JSON."""
    raise ValueError(f"{name} is not JSON")


def encode_value(value: Any) -> bytes:
    """Encode Python values as JSON. Raises TypeError for unsupported types, and InvalidJSON for too many levels."""
    try:
        encoded = msgspec.json.encode(value)
    except RecursionError:
        raise InvalidJSON(TOO_DEEP) from None
    except TypeError as error:
        raise TypeError(f"{error}; {ENCODABLE}") from None
    check_nesting(encoded)
    return encoded


def encode_argument(name: str, value: Any) -> bytes:
    """Encode the argument with this name as JSON; a Raw is JSON already.

    Raises TypeError for a value that cannot be encoded and, as in the client for backends, for bytes, which are usually
    JSON that is encoded already. Raises ValueError for deep nesting and for a Raw that is not JSON. The text of each
    begins with the name.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        advice = "pass the decoded value, or msgspec.Raw for JSON that is encoded already"
        raise TypeError(f"{name}: {type(value).__name__} is not a value of JSON; {advice}")
    if isinstance(value, msgspec.Raw) and not is_json(bytes(value)):
        raise ValueError(f"{name}: the content of the msgspec.Raw is not JSON")
    try:
        return encode_value(value)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None
    except ValueError as error:
        raise InvalidJSON(f"{name}: {error}") from None


_QUOTES_AND_BRACKETS = b'"[]{}'
_OTHER_BYTES = bytes(byte for byte in range(256) if byte not in _QUOTES_AND_BRACKETS)
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_STEPS = [{"[": 1, "]": -1}.get(chr(byte), 0) for byte in range(256)]
LEVELS_PER_PASS = 16
"""Levels that are removed with fast replacements before the remaining brackets are counted one by one."""


def check_nesting(data: bytes, limit: int = MAX_NESTING) -> None:
    """Raise InvalidJSON if arrays and objects are nested in more than `limit` levels.

    The text may be invalid in any other way: the decoder, which is called afterwards, refuses that.
    """
    if len(data) < 2 * limit or data.count(b"[") + data.count(b"{") <= limit:
        return
    # Every payload passes here, up to several times. Each step is one call for the whole text: a loop over the brackets
    # takes 2 ms for 19 KB of small objects, and this 0.04 ms.
    brackets = rest = _brackets_outside_strings(data)
    for _ in range(min(LEVELS_PER_PASS, limit)):
        rest = rest.replace(b"[]", b"")
        if not rest:
            return
    depths = accumulate(map(_STEPS.__getitem__, brackets))
    if next(filter(limit.__lt__, depths), None) is not None:
        raise InvalidJSON(TOO_DEEP)


def _brackets_outside_strings(data: bytes) -> bytes:
    """Return the brackets and braces of a JSON text outside strings, with braces converted to brackets.

    A string without a closing quote ends at the end of the text.
    """
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    found = data.translate(_ONE_KIND, _OTHER_BYTES).replace(b'""', b"")
    return b"".join(found.split(b'"')[::2])


def check_utf8(data: bytes) -> None:
    """Raise InvalidJSON for data that is not UTF-8.

    Decoders do not check the encoding of Raw fields, but peers receive their content in text frames.
    """
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise InvalidJSON(f"not UTF-8 (byte {error.start})") from None


def is_json(data: bytes) -> bool:
    """Return whether `data` is one JSON value in UTF-8, nested no deeper than MAX_NESTING."""
    try:
        data.decode()
        check_nesting(data)
        decode(_raw, data)
    except ValueError:
        return False
    return True
