"""The exceptions of requests to the API, all of which are subclasses of ClientError.

Their texts contain the address and what to do, but never the API key or the secret.
"""

from __future__ import annotations

import re

MAX_SHOWN = 200
"""Maximum characters of a response body in an error text."""


class ClientError(Exception):
    """A command was not carried out, or it is unknown whether it was."""

    is_temporary = False
    """Whether the same command may succeed later."""
    may_have_been_carried_out = False
    """Whether the server may have carried out the command in spite of the error."""


class TransportError(ClientError):
    """There is no reply: the connection failed or was closed, or there was a timeout."""

    is_temporary = True

    def __init__(self, url: str, reason: str, *, was_sent: bool, advice: str = "") -> None:
        advice = advice or (
            "the server may have received the command"
            if was_sent
            else "check that the server is running and reachable at this address"
        )
        super().__init__(f"POST {url}: {reason}; {advice}")
        self.url = url
        self.may_have_been_carried_out = was_sent


class StatusError(ClientError):
    """The HTTP status of the reply is not 200, or the body is not a reply of the API."""

    def __init__(self, url: str, status: int, text: str, retry_after: float = 0) -> None:
        super().__init__(f"POST {url}: status {status}{_excerpt(text)}; {_status_advice(url, status)}")
        self.url = url
        self.status = status
        self.text = text
        """The body of the reply. From a Gentrifugo server it is one line that describes the error."""
        self.retry_after = retry_after
        """Seconds to wait before the next attempt, from the header Retry-After; 0 without this header."""
        self.is_temporary = status in _TEMPORARY
        self.may_have_been_carried_out = status >= 500 and status != REFUSED


class APIError(ClientError):
    """The server has refused a command, or has failed to carry it out."""

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
"""The status if a server is shutting down, or if a proxy has no server: the command was not carried out."""
_TEMPORARY = frozenset({429, 502, REFUSED, 504})
_TEMPORARY_TEXTS = frozenset({"internal server error"})

_DOUBLED_API = re.compile(r"(?P<extra>/api(/publish)?)/api/\w*$")
"""The end of an address that contains `/api` already before the client has added it."""
_OTHER_STATUS = (
    "check that this is the address of a Gentrifugo server, with its option http_prefix if it has one (in a Flask "
    "application that is url_prefix, /realtime by default)"
)
_STATUS_ADVICE = {
    400: "correct the command",
    401: "check that api_key equals option api_key of the server, and secret its option secret",
    413: "send fewer commands at a time, or increase option api_request_max_size of the server",
    429: "send fewer requests",
    502: "the proxy cannot connect to the server",
    503: "the server is shutting down or not running, retry later",
    504: "the proxy has received no reply from the server, which may have received the command",
}
_CODE_ADVICE = {
    100: "see the log of the server for the reason",
    102: "check that the namespace is in option namespaces of the server",
    104: "check the name of the method, and the version of the server",
    106: "send fewer commands at a time, or increase option api_reply_max_size of the server",
    107: "check for a missing or invalid parameter",
    108: "check the options of the channel: presence, history_size and history_lifetime",
    112: "read the history without since, or with a position of the current stream",
}
_TEXT_ADVICE = {
    "internal server error": _CODE_ADVICE[100],
    "namespace not found": _CODE_ADVICE[102],
    "limit exceeded": _CODE_ADVICE[106],
    "invalid message": _CODE_ADVICE[107],
    "not available": _CODE_ADVICE[108],
}


def _status_advice(url: str, status: int) -> str:
    """Return what to do about a status, as the end of a sentence."""
    if status == 404 and (doubled := _DOUBLED_API.search(url)):
        # It is not removed by itself, because the http_prefix of a server may be /api.
        return f"leave out {doubled['extra']} at the end of the client's url, unless it is the server's http_prefix"
    if status == 400 and url.endswith("/"):  # the address of the API of v1
        return f"{_STATUS_ADVICE[400]}, and check that secret equals option secret of the server"
    return _STATUS_ADVICE.get(status, _OTHER_STATUS)


def _excerpt(text: str) -> str:
    """Return the first line of a body for an error text; empty if the body is an HTML page."""
    line = text.strip().partition("\n")[0][:MAX_SHOWN]
    return f" ({line})" if line and not line.startswith("<") else ""
