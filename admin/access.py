"""Who may use the admin endpoints: a password gives a token, a token opens the admin socket.

Wrong passwords slow down the address they come from. The token names no rights,
only until when it holds; a new password or secret makes all tokens worthless.
"""

from __future__ import annotations

import hashlib
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

from itsdangerous import BadData, URLSafeTimedSerializer

from ..app.config.config import Config
from ..app.http.head import HTTPError
from ..app.model import signing

INSECURE_TOKEN = "insecure"
"""What everybody gets with insecure_admin, as v1 calls it."""
SUBJECT = "admin"

FREE_GUESSES = 5
"""Wrong passwords of one address before it has to wait."""
LONGEST_WAIT = 60.0
"""Seconds between two guesses of an address that goes on guessing."""
FORGET_AFTER = 3600.0
"""Seconds after which an address that guessed wrong begins anew."""
MOST_ADDRESSES = 10_000
"""Addresses that are remembered; the one that guessed longest ago is forgotten for a new one."""
IPV6_PREFIX = 64
"""Bits of an IPv6 address that count: the rest is the guesser's to choose."""


class Guesses:
    """Wrong passwords by address; `clock` is a monotonic clock in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()
        """How many, and when the last one was; the address that guessed last stands at the end."""

    def wait(self, address: str) -> float:
        """Seconds until `address` may guess again; 0 when it may now."""
        count, last = self._wrong.get(one_address(address), (0, 0.0))
        if count < FREE_GUESSES:
            return 0.0
        return max(last + min(2.0 ** (count - FREE_GUESSES), LONGEST_WAIT) - self._clock(), 0.0)

    def add_wrong(self, address: str) -> None:
        """A wrong password came from `address`."""
        key = one_address(address)
        count, last = self._wrong.pop(key, (0, 0.0))
        if self._clock() - last > FORGET_AFTER:
            count = 0
        # Past the longest wait more guesses change nothing, and the power above stays small.
        self._wrong[key] = (min(count + 1, FREE_GUESSES + 16), self._clock())
        if len(self._wrong) > MOST_ADDRESSES:
            self._wrong.popitem(last=False)

    def forget(self, address: str) -> None:
        """The right password came from `address`."""
        self._wrong.pop(one_address(address), None)


class Access:
    """Checks passwords and tokens against the configuration in force."""

    def __init__(self, config: Callable[[], Config], guesses: Guesses | None = None) -> None:
        self._config = config
        self._guesses = guesses or Guesses()

    def log_in(self, address: str, password: str) -> str:
        """A token for the right password. Raises HTTPError: 400 for a wrong one, 429 for one too many."""
        config = self._config()
        if config.insecure_admin:
            return INSECURE_TOKEN
        if not (config.admin_password and config.admin_secret):
            raise HTTPError(400, "nobody can log in: the server has no admin_password or no admin_secret")
        wait = self._guesses.wait(address)
        if wait > 0:
            # Not even the right password counts now, or the wait would not slow down anybody.
            seconds = int(wait) + 1
            raise HTTPError(429, f"too many wrong passwords; try again in {seconds} s", {"Retry-After": str(seconds)})
        if not signing.matches(config.admin_password, password):
            if password:  # v1's interface sends an empty one whenever it is opened, to see whether it needs any
                self._guesses.add_wrong(address)
            raise HTTPError(400, "the password is wrong")
        self._guesses.forget(address)
        return _signer(config).dumps(SUBJECT)

    def remaining(self, token: str) -> float | None:
        """Seconds that a token holds from now on; None when it is no token of ours, or holds no more."""
        config = self._config()
        if config.insecure_admin:
            return float("inf")
        if not config.admin_password or not config.admin_secret:
            return None
        try:
            subject, issued = _signer(config).loads(
                token.encode("utf-8", "surrogatepass"), max_age=int(config.admin_token_lifetime), return_timestamp=True
            )
        except BadData:
            return None
        left = config.admin_token_lifetime - (time.time() - issued.timestamp())
        return left if subject == SUBJECT and left > 0 else None


def _signer(config: Config) -> URLSafeTimedSerializer:
    """Signs with the secret and the password, so that tokens do not outlive either; compares in constant time."""
    return URLSafeTimedSerializer(
        [config.admin_secret.encode() + b"\0" + config.admin_password.encode()],
        salt="gentrifugo admin",
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
    )


def one_address(address: str) -> str:
    """What counts as one address: an IPv4 address, an IPv6 network, or the text itself for a local socket."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:  # a local socket has none
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((int(ip), IPV6_PREFIX), strict=False))
    return address
