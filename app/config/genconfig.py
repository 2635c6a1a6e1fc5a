"""Writes an initial configuration file with random secrets, readable only by its owner."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from .options import ConfigError

SECRET_BYTES = 32
"""Randomness in each secret: as much as the HMAC SHA-256 made with it can use."""
PASSWORD_BYTES = 16


def generate(path: Path) -> None:
    """Create the file in the format of its suffix. Raises `ConfigError` when it exists or cannot be written."""
    if path.suffix.lower() not in WRITERS:
        raise ConfigError([f"{path}: the name must end in {', '.join(WRITERS)}"])
    text = WRITERS[path.suffix.lower()](fresh_values())
    try:
        # O_EXCL: of two that start at once one fails, and no link that waits at this path is followed.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError([f"{path}: file exists, not overwritten"]) from None
    except OSError as error:
        raise ConfigError([f"{path}: cannot write file: {error.strerror}"]) from None
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise ConfigError([f"{path}: cannot write file: {error.strerror}"]) from None


def fresh_values() -> dict[str, str]:
    """Return new secrets for the options that need one."""
    return {
        "secret": secrets.token_urlsafe(SECRET_BYTES),
        "token_hmac_secret_key": secrets.token_urlsafe(SECRET_BYTES),
        "api_key": secrets.token_urlsafe(SECRET_BYTES),
        "admin_password": secrets.token_urlsafe(PASSWORD_BYTES),
        "admin_secret": secrets.token_urlsafe(SECRET_BYTES),
    }


def as_json(values: Mapping[str, str]) -> str:
    """Return the values as a JSON object."""
    return json.dumps(values, indent=2) + "\n"


def as_toml(values: Mapping[str, str]) -> str:
    """Return the values as TOML. A JSON string is also a valid TOML string."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())


def as_yaml(values: Mapping[str, str]) -> str:
    """Return the values as YAML, always in quotes, so that no value is read as a number."""
    return "".join(f"{name}: {json.dumps(value)}\n" for name, value in values.items())


WRITERS: dict[str, Callable[[Mapping[str, str]], str]] = {
    ".json": as_json,
    ".toml": as_toml,
    ".yaml": as_yaml,
    ".yml": as_yaml,
}
