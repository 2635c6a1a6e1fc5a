"""The commands `gentoken`, which creates a token for experiments, and `checktoken`, which verifies one."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from ..config.config import Config
from ..config.options import ConfigError
from ..config.schema import read_time
from ..model.errors import Refused
from ..model.json_codec import decode_value
from ..node.channels import ChannelRules
from ..protocol.v2.claims import ConnectionToken, SubscriptionToken
from ..protocol.v2.signed_token import InvalidToken, split_token
from ..protocol.v2.token_keys import HMAC, Key, KeysUnavailable, hmac_key
from ..protocol.v2.token_making import connection_token, subscription_token
from ..protocol.v2.token_times import find_milliseconds
from ..protocol.v2.tokens import ExpiredToken, TokenVerifier

MAX_UNIX_TIME = 253402300800
"""Unix time at the end of the year 9999."""

AROUND_TOKEN = string.whitespace + "\"'`"
"""Characters that may be copied with a token."""
BEFORE_TOKEN = re.compile(r"\A((Authorization|Bearer)(:\s*|\s+))+", re.IGNORECASE)
"""The name and the scheme of the HTTP header with a token, which may have been copied too."""
OTHER_SECRETS = ("secret", "api_key")
"""Options with keys for other purposes, with which tokens are signed by mistake."""
OWN_KEY_HINT = (
    "; it is signed with the SECRET_KEY of the application, from which the key for tokens is only derived; create "
    "tokens with realtime.token, or set GENTRIFUGO_TOKEN_HMAC_SECRET_KEY to the key that signs them"
)


def make_token(config: Config, flags: Mapping[str, str]) -> str:
    """Create a token from the flags `user`, `channel`, `info` and `expires`. Raises ConfigError for invalid flags."""
    if "user" not in flags:
        raise ConfigError(["gentoken: missing flag --user with the ID of a user (empty for an anonymous user)"])
    secret, user = config.token_hmac_secret_key, flags["user"]
    info, expires = _info(flags.get("info")), _seconds(flags.get("expires"))
    try:
        if "channel" in flags:
            return subscription_token(secret, user, flags["channel"], info, expires)
        return connection_token(secret, user, info, expires=expires)
    except (TypeError, ValueError) as error:
        raise ConfigError([f"gentoken: {error}"]) from None


def token_warnings(config: Config, flags: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence if the server will refuse a subscription with the created token."""
    rules, channel = ChannelRules(config), flags.get("channel", "")
    try:
        rules.options(channel)
    except Refused:
        namespace = rules.namespace(channel)
        yield f"--channel: the configuration has no namespace {namespace!r}; the server will refuse this subscription"


def _info(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except ValueError as error:
        raise ConfigError([f"--info: not JSON: {error}"]) from None


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else read_time(text)
    except ValueError as error:
        raise ConfigError([f"--expires: {str(error).removesuffix('.')}; the value is {json.dumps(text)}."]) from None


def bare_token(text: str) -> str:
    """Return a token without the quotes, the white space and the words of a header with which it is often copied."""
    return BEFORE_TOKEN.sub("", text.strip(AROUND_TOKEN)).strip(AROUND_TOKEN)


def copy_warnings(words: Sequence[str]) -> Iterator[str]:
    """Yield a sentence if Bearer or Authorization is before the token in the arguments of the command."""
    if found := BEFORE_TOKEN.match(" ".join(words).strip(AROUND_TOKEN)):
        word = "Bearer" if "bearer" in found[0].lower() else "Authorization"
        yield f"the word {word} is not a part of the token: leave it out where a client is given the token"


def describe_token(config: Config, token: str, application_key: bytes = b"") -> str:
    """Return the claims of a token as JSON. Raises ConfigError with the reasons if the server refuses the token.

    `application_key` is the SECRET_KEY of the Flask application with this configuration; empty without one.
    """
    if not config.checks_tokens:
        problem = "checktoken: no key to verify tokens with: set an option such as token_hmac_secret_key"
        raise ConfigError([problem + _wrong_key_hint(config, token, application_key)])
    verifier = TokenVerifier(config)
    try:
        try:
            claims: ConnectionToken | SubscriptionToken = verifier.any_subscription(token)
        except InvalidToken:
            claims = verifier.connection(token)
    except (InvalidToken, ExpiredToken, KeysUnavailable) as error:
        hints = list(time_warnings(token)) if isinstance(error, ExpiredToken) else []
        problem = f"checktoken: the server refuses this token: {error}"
        raise ConfigError([problem + _wrong_key_hint(config, token, application_key)], hints) from None
    if refused := list(_unknown_channels(config, claims)):
        raise ConfigError(refused)
    kind = "connection" if isinstance(claims, ConnectionToken) else "subscription"
    present = {name: value for name, value in asdict(claims).items() if value or name == "user"}
    shown = {"token": kind, **{name: _json_value(name, value) for name, value in present.items()}}
    return json.dumps(shown, indent=2, ensure_ascii=False)


def _unknown_channels(config: Config, claims: ConnectionToken | SubscriptionToken) -> Iterator[str]:
    """Yield a sentence for each channel of a token whose namespace the configuration does not have."""
    rules = ChannelRules(config)
    if isinstance(claims, ConnectionToken):
        channels, where = list(claims.channels), "claim channels or subs"
    else:
        channels, where = [claims.channel], "claim channel"
    for channel in channels:
        try:
            rules.options(channel)
        except Refused as refused:
            problem = f"{where}: unknown channel {channel!r}: {refused.detail}"
            yield f"checktoken: the server refuses this token: {problem}"


def _wrong_key_hint(config: Config, token: str, application_key: bytes) -> str:
    """Return a hint, as the end of a sentence, if a key that is not for tokens has signed it."""
    try:
        signed = split_token(token)
    except InvalidToken:
        return ""
    keys = {config.token_hmac_secret_key, config.token_hmac_previous_secret_key, ""}
    for name in OTHER_SECRETS:
        secret = getattr(config, name)
        if secret not in keys and hmac_key(secret).verifies(signed.algorithm, signed.text, signed.signature):
            return f"; it is signed with the option {name}; sign it with token_hmac_secret_key"
    if application_key not in [key.encode() for key in keys] and Key(application_key, HMAC).verifies(
        signed.algorithm, signed.text, signed.signature
    ):
        return OWN_KEY_HINT
    return ""


def time_warnings(token: str) -> Iterator[str]:
    """Yield a sentence for each claim of a token in milliseconds. Its signature must have been verified."""
    return find_milliseconds(split_token(token).payload)


def claim_warnings(token: str) -> Iterator[str]:
    """Yield a sentence for each claim of a valid token that is in milliseconds, and if a connection has no user."""
    yield from time_warnings(token)
    claims = decode_value(split_token(token).payload)
    if claims.get("sub") is None and "channel" not in claims:
        yield "claim sub is missing, so the user is anonymous"


def _json_value(name: str, value: Any) -> Any:
    """Convert a value for JSON: payloads that are not JSON to text, and times to dates."""
    if isinstance(value, bytes):
        text = value.decode(errors="backslashreplace")
        try:
            return json.loads(text)
        except ValueError:
            return text
    if isinstance(value, Struct):
        value = asdict(value)
    if isinstance(value, dict):
        return {inner: _json_value(inner, each) for inner, each in value.items() if each not in (None, b"")}
    if name.endswith("_at") and value < MAX_UNIX_TIME:
        return datetime.fromtimestamp(value, UTC).isoformat()
    return value
