"""Splits a token (JWT) in compact form into its parts. Signatures and claims are not looked at."""

from __future__ import annotations

import binascii
from functools import lru_cache

import msgspec

from ...model.json_codec import InvalidJSON, decode

MAX_KNOWN_HEADER = 256
"""Bytes of the largest encoded header that is kept: nearly all tokens of a backend have the same header."""
# Characters of other alphabets become one of none, which is refused.
_TO_BASE64 = bytes.maketrans(b"-_+/=", b"+/!!!")


class InvalidToken(Exception):
    """The token is invalid and will not become valid; the text says why, and is only logged."""


class _Header(msgspec.Struct):
    alg: str
    kid: str = ""
    crit: msgspec.Raw = msgspec.Raw()


_header = msgspec.json.Decoder(_Header)


class SignedToken(msgspec.Struct):
    """The parts of a token whose signature has not been verified yet."""

    algorithm: str
    kid: str
    text: bytes
    """The signed part: header and payload in their encoded form."""
    payload: bytes
    signature: bytes


def split_token(token: str) -> SignedToken:
    """Split a token in compact form (RFC 7519) into its parts. Raises InvalidToken."""
    try:
        header, payload, signature = token.encode().split(b".")
        decoded = _known_header(header) if len(header) <= MAX_KNOWN_HEADER else _decode_header(header)
        parts = _from_base64(payload), _from_base64(signature)
    except (InvalidJSON, ValueError):
        hint = "; leave out the word Bearer before the token" if token[:7].lower() == "bearer " else ""
        raise InvalidToken(f"not a JWT in compact form{hint}") from None
    if bytes(decoded.crit):
        raise InvalidToken("the header requires unsupported extensions (crit)")
    return SignedToken(decoded.alg, decoded.kid, header + b"." + payload, *parts)


def _decode_header(header: bytes) -> _Header:
    return decode(_header, _from_base64(header))


_known_header = lru_cache(maxsize=64)(_decode_header)


def _from_base64(data: bytes) -> bytes:
    """Decode base64url without padding. Raises ValueError."""
    return binascii.a2b_base64(data.translate(_TO_BASE64) + b"=" * (-len(data) % 4), strict_mode=True)
