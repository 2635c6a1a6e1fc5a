"""Access to the admin endpoints: the password gives a token, and the token opens the admin socket.

Wrong passwords are logged, and after some an address has to wait before the next attempt. The token contains no rights,
only its time; a new password or secret invalidates all tokens.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import time
from collections import OrderedDict
from collections.abc import Callable

from itsdangerous import BadData, URLSafeTimedSerializer

from ..app.config.config import Config
from ..app.http.head import HTTPError
from ..app.model import signing
from ..app.runtime.log_throttle import ThrottledLog

log = logging.getLogger(__name__)

INSECURE_TOKEN = "insecure"
"""The token that everybody gets with option insecure_admin, with the text of v1."""
ADMIN_SUBJECT = "admin"

FAILURES_WITHOUT_DELAY = 5
"""Number of wrong passwords of one address before it has to wait."""
MAX_LOGIN_DELAY = 60.0
"""Maximum seconds that an address has to wait before its next attempt."""
FAILURE_LIFETIME = 3600.0
"""Seconds after which the wrong passwords of an address are forgotten."""
MAX_ADDRESSES = 10_000
"""Maximum number of addresses that are kept; the one with the oldest attempt is removed first."""
MAX_LOGGED_ADDRESSES = 20
"""Maximum number of addresses whose wrong passwords are logged in ten seconds."""
IPV6_PREFIX = 64
"""Bits of an IPv6 address that count, because a client can choose the rest."""


class LoginThrottle:
    """Wrong passwords by address; `clock` is a monotonic clock in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()
        """The number of wrong passwords and the time of the last one; the address with the newest attempt is last."""

    def wait(self, address: str) -> float:
        """Return the seconds until `address` may try again; 0 if it may now."""
        count, last = self._wrong.get(one_address(address), (0, 0.0))
        if count < FAILURES_WITHOUT_DELAY:
            return 0.0
        return max(last + min(2.0 ** (count - FAILURES_WITHOUT_DELAY), MAX_LOGIN_DELAY) - self._clock(), 0.0)

    def add_wrong(self, address: str) -> None:
        """Count a wrong password from `address`."""
        key = one_address(address)
        count, last = self._wrong.pop(key, (0, 0.0))
        if self._clock() - last > FAILURE_LIFETIME:
            count = 0
        # At the maximum wait, further attempts change nothing, and the power above stays small.
        self._wrong[key] = (min(count + 1, FAILURES_WITHOUT_DELAY + 16), self._clock())
        if len(self._wrong) > MAX_ADDRESSES:
            self._wrong.popitem(last=False)

    def forget(self, address: str) -> None:
        """Forget the wrong passwords of `address`, after the right one."""
        self._wrong.pop(one_address(address), None)


class Access:
    """Checks passwords and tokens with the current configuration."""

    def __init__(self, config: Callable[[], Config], throttle: LoginThrottle | None = None) -> None:
        self._config = config
        self._throttle = throttle or LoginThrottle()
        self._wrong = ThrottledLog(log, logging.WARNING, max_keys=MAX_LOGGED_ADDRESSES)

    def needs_password(self, operator: str = "") -> bool:
        """Return whether a login needs a password; it does not for an `operator` whom a trusted proxy has named."""
        config = self._config()
        return not (config.insecure_admin or (operator and config.admin_secret))

    def log_in(self, address: str, password: str, operator: str = "") -> str:
        """Return a token for the right password, or for an `operator` whom a trusted proxy has named.

        Raises HTTPError: 400 for a wrong password, 429 for too many attempts.
        """
        config = self._config()
        if config.insecure_admin:
            return INSECURE_TOKEN
        if operator and config.admin_secret:
            log.info("admin login of %r from %s (header %s)", operator, address, config.admin_trusted_header)
            return _signer(config).dumps(ADMIN_SUBJECT)
        if not (config.admin_password and config.admin_secret):
            raise HTTPError(400, "login is disabled: options admin_password and admin_secret are required")
        wait = self._throttle.wait(address)
        if wait > 0:
            # Even the right password is refused now, otherwise the wait would have no effect.
            seconds = int(wait) + 1
            raise HTTPError(429, f"too many wrong passwords, retry in {seconds} s", {"Retry-After": str(seconds)})
        if not signing.matches(config.admin_password, password):
            if password:  # the interface of v1 sends an empty one when it is opened, to check whether it needs one
                self._throttle.add_wrong(address)
                peer = address or "a local socket"
                self._wrong.log(one_address(address), "admin login from %s refused: wrong password", peer)
            raise HTTPError(400, "wrong password")
        self._throttle.forget(address)
        return _signer(config).dumps(ADMIN_SUBJECT)

    def remaining(self, token: str) -> float | None:
        """Return the seconds until a token expires; None if it is invalid or has expired."""
        config = self._config()
        if config.insecure_admin:
            return float("inf")
        if not config.admin_secret or not (config.admin_password or config.admin_trusted_header):
            return None
        try:
            subject, issued = _signer(config).loads(
                token.encode("utf-8", "surrogatepass"), max_age=int(config.admin_token_lifetime), return_timestamp=True
            )
        except BadData:
            return None
        left = config.admin_token_lifetime - (time.time() - issued.timestamp())
        return left if subject == ADMIN_SUBJECT and left > 0 else None


def _signer(config: Config) -> URLSafeTimedSerializer:
    """Create the signer. It uses secret and password, so that a change of either invalidates all tokens."""
    return URLSafeTimedSerializer(
        [config.admin_secret.encode() + b"\0" + config.admin_password.encode()],
        salt="gentrifugo admin",
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
    )


def one_address(address: str) -> str:
    """Return the key under which an address is counted: IPv4 address, IPv6 network, or text of a local socket."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:  # a local socket has none
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((int(ip), IPV6_PREFIX), strict=False))
    return address
