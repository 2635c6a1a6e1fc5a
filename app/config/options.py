"""The declaration of an option: default, description, checks, and the names of its flag and variable.

The options themselves are in config.py. Flags, environment variables, checks, help and the reference page are all
derived from the same declarations, so that nothing about an option is written twice.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar
from urllib.parse import urlsplit

from marshmallow import ValidationError, validate

ENVIRONMENT_PREFIX = "CENTRIFUGO_"
APPLICATION_PREFIX = "GENTRIFUGO_"
"""Prefix of the names of options in the config of a Flask application."""
SECONDS = "seconds"
"""The unit of all times."""
MAX_NUMBER = 2**63 - 1
"""The maximum of sizes and counts: Centrifugo, which may read the same file, stores them in 64 bits."""
MAX_TIME = 2**32 - 1
"""The maximum of times in seconds, about 136 years."""

RANGE_ERROR = "Must be between {min} and {max}."
OPEN_RANGE_ERROR = "Must be more than {min} and at most {max}."
NOT_NEGATIVE = validate.Range(min=0, max=MAX_NUMBER, error=RANGE_ERROR)
POSITIVE = validate.Range(min=0, max=MAX_NUMBER, min_inclusive=False, error=OPEN_RANGE_ERROR)
TIME = validate.Range(min=0, max=MAX_TIME, error=RANGE_ERROR)
POSITIVE_TIME = validate.Range(min=0, max=MAX_TIME, min_inclusive=False, error=OPEN_RANGE_ERROR)
PORT = validate.Range(min=0, max=65535, error=RANGE_ERROR)
ALL_ORIGINS = "*"
AUTO = "auto"
LOCAL = "unix"
"""The item of a list of networks that means all peers which connect to a Unix socket."""
ORIGIN = re.compile(r"null|file://|(?!(?:file|ftp|wss?):)[a-z][-+.a-z0-9]*://(\*\.)?[^/?#@\s*]+", re.ASCII)
"""An origin as browsers and the web views of apps send it: also `capacitor://localhost`, and `null` for a page without
one, such as that of a sandboxed iframe."""
ORIGINS_WITHOUT_HOST = frozenset(("null", "file://"))
"""Origins that browsers and web views send for pages without a host; allowed only if listed explicitly."""
URL = re.compile(r"https?://[^/?#\s]+[^#\s]*")
HEADER_NAME = re.compile(r"[-A-Za-z0-9!#$%&'*+.^`|~]+")
"""The name of a header, without underscores: WSGI and CGI cannot distinguish `X_Real_IP` from `X-Real-IP`."""
OWN_HEADERS = frozenset(
    [
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-hook-sign",
    ]
)
"""Headers of the server's own requests and of one connection only. They are never taken from another request."""
CHECKED_FORWARDING = frozenset(("x-forwarded-for", "x-real-ip"))
"""Headers of proxies whose value the server can check: the client's address."""
NOT_EMPTY = validate.Length(min=1, error="Must not be empty.")

T = TypeVar("T")


class ConfigError(Exception):
    """The configuration is invalid; `problems` has one sentence for each error.

    `warnings` has one sentence for each warning, such as a misspelt name, which is often the cause of an error. The
    text contains both, so that it is enough as the last line of a traceback.
    """

    __module__ = "gentrifugo"  # where the class is public; a traceback shows this name

    def __init__(self, problems: Sequence[str], warnings: Sequence[str] = ()) -> None:
        sentences = [*problems, *(f"warning: {sentence}" for sentence in warnings)]
        super().__init__("; ".join(sentence.removesuffix(".") for sentence in sentences))
        self.problems = list(problems)
        self.warnings = list(warnings)


def must_match(pattern: str, error: str) -> validate.Regexp:
    r"""Return a check that the whole text matches: `\Z`, because `$` would let a newline pass at the end."""
    return validate.Regexp(re.compile(f"(?:{pattern})\\Z"), error=error)


class Choice(validate.OneOf):
    """A check that a text is one of several choices."""

    def __init__(self, *choices: str) -> None:
        super().__init__(choices, error="Must be one of: {choices}.")


def port_or_empty(text: str) -> None:
    """Check that a text is a port number, or empty."""
    number = text.isascii() and text.isdigit() and len(text) <= 5
    if text and not (number and 0 < int(text) <= 65535):
        raise ValidationError("Must be a port number, or empty.")


def split_list(text: str) -> list[str]:
    """Return the items of a comma-separated text, without white space around them and without empty ones."""
    return [item.strip() for item in text.split(",") if item.strip()]


HOST_NAME = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)+", re.IGNORECASE | re.ASCII
)
"""A name with a dot in it, as public hosts have; international ones in the form xn--…."""


def origins_or_all(text: str) -> None:
    """Check that a text is a list of origins, whose hosts may begin with `*.`, or `null`, or `*`, or `auto`."""
    for item in [] if text == AUTO else split_list(text):
        is_origin = ORIGIN.fullmatch(item) and (
            item in ORIGINS_WITHOUT_HOST or names_a_host(item.replace("://*.", "://"))
        )
        if item != ALL_ORIGINS and not is_origin and len(item.split()) > 1:
            raise ValidationError(f"expected commas, not spaces, between the origins {item}.")
        if item != ALL_ORIGINS and not is_origin:
            raise ValidationError(
                f"invalid origin {item}: expected a form such as https://example.com or https://*.example.com."
            )


def networks(text: str) -> None:
    """Check that a text is a list of IP addresses, networks and the word `unix`."""
    for item in split_list(text):
        if item != LOCAL:
            try:
                ipaddress.ip_network(item, strict=False)
            except ValueError:
                raise ValidationError(
                    f"invalid address or network {item}: expected a form such as 10.0.0.7 or 10.0.0.0/8."
                ) from None


def comma_separated(*words: str) -> Callable[[str], None]:
    """Return a check that a text is a comma-separated list of some of these words."""

    def check(text: str) -> None:
        unknown = [item for item in split_list(text) if item not in words]
        if unknown:
            raise ValidationError(f"unknown item {unknown[0]}; possible items: {', '.join(words)}.")

    return check


def passed_on_headers(text: str) -> None:
    """Check that a text lists names of headers that may be copied from a client's request into one of the server."""
    for item in split_list(text):
        name = item.lower()
        if not HEADER_NAME.fullmatch(item):
            raise ValidationError(f"invalid header name {item}.")
        if name in OWN_HEADERS:
            raise ValidationError(f"header {item} cannot be forwarded: the server sets it itself in its request.")
        if name == "forwarded" or (name.startswith("x-forwarded-") and name not in CHECKED_FORWARDING):
            raise ValidationError(
                f"header {item} cannot be forwarded: clients can forge it; "
                "use X-Forwarded-For or X-Real-IP, which are checked."
            )


def host_names(text: str) -> None:
    """Check that a text is a list of host names that can have a certificate each; wildcards cannot."""
    for item in split_list(text):
        if item.startswith("*."):
            raise ValidationError(
                f"{item}: wildcard certificates are not supported (they require a DNS challenge); list each name."
            )
        if not HOST_NAME.fullmatch(item):
            raise ValidationError(f"invalid host name {item}: expected a form such as realtime.example.com.")


def url_or_empty(text: str) -> None:
    """Check that a text is the URL of a web server, or empty."""
    if text and not (URL.fullmatch(text) and names_a_host(text)):
        raise ValidationError("Must be a URL that begins with http:// or https://, or empty.")


def names_a_host(url: str) -> bool:
    """Return whether a URL has a valid host name or address, and a valid port or none."""
    try:
        parts = urlsplit(url)
        if parts.port == 0:
            return False
        (parts.hostname or "").encode("idna")
    except ValueError:
        return False
    return bool(parts.hostname)


@dataclasses.dataclass(frozen=True, slots=True)
class OptionDetails:
    """The properties of an option besides name, type and default: description, unit, check and others."""

    about: str
    unit: str = ""
    check: Callable[[Any], Any] | None = None
    flag: bool = False
    """Whether `--help` lists the flag of the option. `gentrifugo help` lists the flags of all options."""
    short: str = ""
    secret: bool = False
    """Whether the value must not be shown or logged."""
    reload: bool = False
    """Whether a reload (SIGHUP) applies a new value."""
    is_list: bool = False
    """Whether the value is a comma-separated text, for which files and applications may also contain a list."""
    aliases: tuple[str, ...] = ()
    """Names of exactly the same option in other versions of Centrifugo. They are accepted everywhere."""
    numeric: bool = False
    """Whether the value is a text that files may contain as a number, such as `redis_port: 6379`."""
    no_effect: str = ""
    """The reason why the option has no effect. It is accepted so that files of Centrifugo work unchanged."""
    shown_default: str = ""
    """The default in the reference page, if the default is computed at startup."""
    of_node: bool = False
    """Whether each node has its own value, so that the nodes of a cluster are expected to differ."""


def option(default: T, about: str, **facts: Any) -> T:
    """Declare an option: a dataclass field whose metadata holds its `OptionDetails`."""
    stated = OptionDetails(about, **facts)
    return dataclasses.field(default=default, repr=not stated.secret, metadata={"facts": stated})


def own_option(default: T, about: str, **facts: Any) -> T:
    """Declare an option of which each node has its own value, such as its port."""
    return option(default, about, of_node=True, **facts)


def option_metadata(about: str, **facts: Any) -> Mapping[str, OptionDetails]:
    """Return the metadata of an option without a default, for `dataclasses.field`."""
    return {"facts": OptionDetails(about, **facts)}


@dataclasses.dataclass(frozen=True, slots=True)
class Option:
    """One declared option, read from its dataclass field."""

    name: str
    type: Any
    default: Any
    facts: OptionDetails

    @property
    def variable(self) -> str:
        """The name of the environment variable that sets the option."""
        return ENVIRONMENT_PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        """The long flag that sets the option."""
        return "--" + self.name

    @property
    def names(self) -> tuple[str, ...]:
        """All names under which the option can be set: its own name, then the aliases."""
        return (self.name, *self.facts.aliases)

    @property
    def is_time(self) -> bool:
        """Whether the option is a time in seconds, which may also be written with units: `1m30s`."""
        return self.facts.unit == SECONDS

    @property
    def kind(self) -> str:
        """The type of the values, as shown in the help and the reference page."""
        if self.item_type:
            return "list of objects"
        return {bool: "boolean", int: "integer", float: "number", str: "string"}[self.type]

    @property
    def default_text(self) -> str:
        """The default in the spelling of a file; empty if there is none."""
        if self.facts.shown_default or self.is_required or self.item_type:
            return self.facts.shown_default
        return f'"{self.default}"' if self.type is str else str(self.default).lower()

    @property
    def check(self) -> Callable[[Any], Any] | None:
        """The declared check, or the default check of the type: numbers must not be negative."""
        return self.facts.check or {int: NOT_NEGATIVE, float: TIME}.get(self.type)

    @property
    def is_required(self) -> bool:
        """Whether the option has no default."""
        return self.default is dataclasses.MISSING

    @property
    def item_type(self) -> Any:
        """The dataclass of the items if the option is a list, otherwise None."""
        return next(iter(typing.get_args(self.type)), None)

    @property
    def choices(self) -> tuple[str, ...]:
        """The accepted values, if there are only a few; otherwise empty."""
        return tuple(self.facts.check.choices) if isinstance(self.facts.check, Choice) else ()


@cache
def options_of(declaring: type) -> tuple[Option, ...]:
    """Return the options that a dataclass declares, in order; those of its base classes come first."""
    types = typing.get_type_hints(declaring)
    return tuple(
        Option(field.name, types[field.name], field.default, field.metadata["facts"])
        for field in dataclasses.fields(declaring)
    )
