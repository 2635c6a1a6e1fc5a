"""Decoding JSON that peers send into typed structs, with `Raw` fields kept byte for byte.

Knows nothing of commands; it adds to msgspec what JSON from JavaScript needs.
"""

from __future__ import annotations

import os
import re
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

TOO_DEEP = "JSON is nested too deeply"


class InvalidJSON(ValueError):
    """The text is not JSON, or not of the shape asked for; the message says what and where."""


def decode(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    """`data` as the decoder's type.

    Raises InvalidJSON, also for JSON nested deeper than the interpreter's recursion limit.
    """
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise InvalidJSON(_in_words_of_json(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if b"\\u" in data:
            return _decode_with_lone_surrogates(decoder, data, error)
        raise InvalidJSON(str(error)) from None
    except RecursionError:
        raise InvalidJSON(TOO_DEEP) from None


_PYTHON_TYPES = {"str": "string", "bool": "boolean", "int": "number", "float": "number"}


def _in_words_of_json(error: Exception) -> str:
    return re.sub(r"\b(str|bool|int|float)\b(?=[^`]*`)", lambda type_: _PYTHON_TYPES[type_[0]], str(error))


# JavaScript strings may hold half of a surrogate pair, and JSON.stringify sends it as \ud800.
# RFC 8259 (8.2) lets such text through, msgspec refuses it even where it is not decoded. The
# scan below steps over every escape, so that the escaped backslash in "\\ud800" stays one.
_SURROGATE_PAIR = rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_LONE_SURROGATE = rb"\\(u[dD][89a-fA-F][0-9a-fA-F]{2})"
_ESCAPES = re.compile(_SURROGATE_PAIR + rb"|" + _LONE_SURROGATE + rb"|\\.", re.DOTALL)


def _decode_with_lone_surrogates(decoder: msgspec.json.Decoder[T], data: bytes, error: Exception) -> T:
    """Hide lone surrogates behind a mark the text cannot contain, decode, put them back."""
    mark = b"<" + os.urandom(8).hex().encode() + b">"
    text = _ESCAPES.sub(lambda escape: mark + escape[1] if escape[1] else escape[0], data)
    if mark not in text:
        raise InvalidJSON(str(error)) from None
    try:
        decoded = decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as again:
        raise InvalidJSON(_in_words_of_json(again)) from None
    except RecursionError:
        raise InvalidJSON(TOO_DEEP) from None
    restored: T = _restore(decoded, mark)
    return restored


def _restore(value: Any, mark: bytes) -> Any:
    """Raw JSON gets its surrogates back; a decoded string, which cannot hold one, U+FFFD instead."""
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


_anything = msgspec.json.Decoder(msgspec.Raw)


def is_json(data: bytes) -> bool:
    """Whether `data` is one JSON value, encoded in UTF-8."""
    try:
        data.decode()
        decode(_anything, data)
    except ValueError:
        return False
    return True
