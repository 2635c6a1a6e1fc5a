"""Recognizes tokens without the claim `sub` that name the user in another claim.

A token without `sub` is valid for an anonymous user. The server accepts it, as Centrifugo does, and says in the log if
it probably was not meant for one.
"""

from __future__ import annotations

import logging

from ...model.json_codec import decode_value
from ...runtime.log_throttle import ONCE, ThrottledLog

log = logging.getLogger(__name__)

SIMILAR_CLAIMS = ("user", "user_id", "userId", "uid")
"""The claims in which backends put the ID of the user by mistake."""
_SIMILAR_KEY = b'"u'
"""What a payload with one of these claims contains, so that most others are not decoded again."""

_anonymous = ThrottledLog(log, logging.WARNING, interval=ONCE)


def note_missing_subject(payload: bytes) -> None:
    """Log once that a valid connection token has no claim sub, if another claim looks like the ID of the user.

    `payload` has the claims as a JSON object.
    """
    if _SIMILAR_KEY not in payload:
        return
    claims = decode_value(payload)
    if claims.get("sub") is not None:
        return
    for name in SIMILAR_CLAIMS:
        if claims.get(name) not in (None, ""):
            _anonymous.log(
                name,
                "accepted a connection token without the claim sub, so its user is anonymous; it has a claim %s: the "
                "ID of the user must be in the claim sub (logged once)",
                name,
            )
            return
