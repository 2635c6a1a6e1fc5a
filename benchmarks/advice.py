"""What to do about the reasons with which a server refuses or closes a connection."""

from __future__ import annotations

_KEY = (
    "check --secret, or --against-secret of a second server: with protocol v1 it is the server's option secret, with "
    "v2 token_hmac_secret_key"
)
_NAMESPACE = "check --namespace, and option namespaces of the server"
_ADVICE = {
    "invalid token": _KEY,
    "unauthorized": _KEY,
    "permission denied": "set option allow_subscribe_for_client of the server, or of the namespace, for protocol v2",
    "namespace not found": _NAMESPACE,
    "unknown channel": _NAMESPACE,
    "slow": "increase option client_queue_max_size of the server",
    " 404 ": "check --url, with the http_prefix of the server if it has one",
}
"""By a part of the reason."""


def with_advice(reason: str) -> str:
    """Return a reason with what to do about it, if that is known."""
    return next((f"{reason}; {advice}" for part, advice in _ADVICE.items() if part in reason), reason)
