"""What can go wrong with a request to the API. All exceptions are a ClientError.

Texts name the address and what to do. They never contain the API key or the secret.
"""

from __future__ import annotations

MAX_SHOWN = 200
"""Maximum characters of a body that are repeated in an error text."""


class ClientError(Exception):
    """A command was not carried out, or nobody knows whether it was."""

    is_temporary = False
    """Whether the same command may succeed later without a change."""
    may_have_been_carried_out = False
    """Whether the server may have carried out the command nevertheless."""


class TransportError(ClientError):
    """There is no reply: no connection, a timeout, or a connection that broke."""

    is_temporary = True

    def __init__(self, url: str, reason: str, *, was_sent: bool) -> None:
        advice = (
            "the server may have received the command"
            if was_sent
            else "check that the server is running and reachable at this address"
        )
        super().__init__(f"POST {url}: {reason}; {advice}")
        self.url = url
        self.may_have_been_carried_out = was_sent


class StatusError(ClientError):
    """The reply has another HTTP status than 200, or its body is not a reply of the API."""

    def __init__(self, url: str, status: int, text: str, retry_after: float = 0) -> None:
        super().__init__(f"POST {url}: status {status}{_shown(text)}; {_STATUS_ADVICE.get(status, _OTHER_STATUS)}")
        self.url = url
        self.status = status
        self.text = text
        """The body of the reply. A Gentrifugo server says in a line of text what is wrong."""
        self.retry_after = retry_after
        """Seconds that the server asks to wait before the next attempt; 0 if it does not say."""
        self.is_temporary = status in _TEMPORARY
        self.may_have_been_carried_out = status >= 500 and status != REFUSED


class APIError(ClientError):
    """The server refused a command, or could not carry it out."""

    def __init__(self, url: str, method: str, code: int, message: str) -> None:
        advice = _CODE_ADVICE.get(code) or _TEXT_ADVICE.get(message)
        error = f"error {code}, {message}" if code else message
        super().__init__(f"{method} at {url}: {error}" + (f"; {advice}" if advice else ""))
        self.url = url
        self.method = method
        self.code = code
        """Identifies the error (docs/api-v4.md); 0 for errors of the API of v1, which have only a text."""
        self.message = message
        """The text of the error in the protocol, such as `unknown channel`."""
        self.is_temporary = message in _TEMPORARY_TEXTS
        self.may_have_been_carried_out = self.is_temporary


REFUSED = 503
"""The status of a server that is shutting down, or of a proxy without a server: the command was not carried out."""
_TEMPORARY = frozenset({429, 502, REFUSED, 504})
_TEMPORARY_TEXTS = frozenset({"internal server error"})

_OTHER_STATUS = "check that this is the address of a Gentrifugo server, with its option http_prefix if it has one"
_STATUS_ADVICE = {
    400: "correct the command; the API of v1 also needs a secret, which must be the option secret of the server",
    401: "the API key must be the option api_key of the server, or the secret its option secret",
    413: "send fewer commands at a time, or raise the option api_request_max_size of the server",
    429: "send fewer requests",
    502: "the proxy has no connection to the server",
    503: "the server is shutting down or away, retry later",
    504: "the proxy has received no reply from the server, which may have received the command",
}
_CODE_ADVICE = {
    100: "the log of the server has the reason",
    102: "the server has no such namespace (option namespaces)",
    104: "the server has no such method",
    106: "send fewer commands at a time, or raise the option api_reply_max_size of the server",
    107: "a parameter is missing or invalid",
    108: "the options of the channel do not allow this (presence, history_size, history_lifetime)",
    112: "read the history without since, or with a position of the current stream",
}
_TEXT_ADVICE = {
    "internal server error": _CODE_ADVICE[100],
    "namespace not found": _CODE_ADVICE[102],
    "limit exceeded": _CODE_ADVICE[106],
    "invalid message": _CODE_ADVICE[107],
    "not available": _CODE_ADVICE[108],
}


def _shown(text: str) -> str:
    """The first line of a body, unless it is a page."""
    line = text.strip().partition("\n")[0][:MAX_SHOWN]
    return f" ({line})" if line and not line.startswith("<") else ""
