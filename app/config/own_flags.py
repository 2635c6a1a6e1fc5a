"""The flags of the command line that are not options; parser, help and completion are derived from this declaration."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_PATH = "config.json"


@dataclass(frozen=True)
class OwnFlag:
    """A flag that is not an option; it either takes a text, or is a switch."""

    name: str
    about: str
    short: str = ""
    takes_value: bool = False
    default: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The short form if there is one, and the long form."""
        return tuple(filter(None, (self.short, f"--{self.name}")))


def _by_name(*flags: OwnFlag) -> dict[str, OwnFlag]:
    return {flag.name: flag for flag in flags}


FLAGS_ONLY = _by_name(
    OwnFlag("config", "Path of the configuration file.", "-c", takes_value=True, default=DEFAULT_PATH),
    OwnFlag(
        "app",
        "Use this Flask application, which contains the server: a module or a file, optionally followed by :name.",
        takes_value=True,
    ),
    OwnFlag("reload", "With --app: restart when its code, a template or a static file changes."),
    OwnFlag("strict", "Treat warnings about the configuration as errors."),
    OwnFlag("help", "Show the most common flags, or with a command those of the command, and exit.", "-h"),
    OwnFlag("version", "Show the version and exit."),
)
"""The flags of several commands, by name."""

TOKEN_FLAGS = _by_name(
    OwnFlag("user", "ID of the user that the token is for; empty for an anonymous user.", "-u", takes_value=True),
    OwnFlag("channel", "Create a subscription token for this channel.", takes_value=True),
    OwnFlag("info", "JSON about the user, which is sent to other clients.", takes_value=True),
    OwnFlag("expires", "Time after which the token expires: seconds, or with units, such as 10m.", takes_value=True),
)
"""The flags of the command `gentoken`, by name."""
