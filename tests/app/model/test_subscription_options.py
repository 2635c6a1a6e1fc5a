"""Behaviour of the options of a subscription: which ones the fields of tokens and of backends set."""

from __future__ import annotations

import msgspec
import pytest

from gentrifugo.app.model.payload import json_or_base64
from gentrifugo.app.model.subscription_options import UNCHANGED, OptionFields, SubscriptionOptions


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        (b"{}", UNCHANGED),
        (b'{"info":null,"b64info":null,"data":null,"b64data":"","override":null}', UNCHANGED),
        (b'{"info":[1.50],"data":{"a":1e3}}', SubscriptionOptions(b"[1.50]", b'{"a":1e3}')),
        (b'{"info":1,"b64info":"/w==","b64data":"bnVsbA=="}', SubscriptionOptions(b"\xff", b"null")),
        (b'{"override":{"presence":{"value":true},"join_leave":null}}', SubscriptionOptions(presence=True)),
        (b'{"override":{"force_recovery":{"value":null}}}', SubscriptionOptions(force_recovery=False)),
        (b'{"override":{"force_positioning":{},"later":1}}', SubscriptionOptions(force_positioning=False)),
    ],
)
def test_fields_set_options(fields: bytes, options: SubscriptionOptions) -> None:
    decoded = msgspec.json.decode(fields, type=OptionFields)
    assert decoded.options(lambda name, json, encoded: json_or_base64(json, encoded)) == options
