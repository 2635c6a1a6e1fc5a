"""Reads secrets from the files that environment variables name, such as the secrets of Docker and systemd.

`CENTRIFUGO_REDIS_PASSWORD_FILE=/run/secrets/redis` sets option `redis_password` to the content of this file. So the
secret itself is not in the environment, which child processes inherit and container tools show.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .options import ENVIRONMENT_PREFIX, Option

SUFFIX = "_FILE"
MAX_SIZE = 65_536
"""Bytes that are read of a file; no secret is as long as that."""


class UnusableSecret(Exception):
    """The file cannot be read, or does not contain a secret; the text says why."""


@dataclass
class SecretVariables:
    """The environment after the secrets were read."""

    variables: dict[str, str]
    """All variables; those that name files are replaced by those that contain the values."""
    spellings: dict[str, str] = field(default_factory=dict)
    """For each option that a file has set, the name of the variable without its prefix, in lower case."""
    unusable: dict[str, str] = field(default_factory=dict)
    """The error text for each option with a file that cannot be used, or with a value besides it."""


def read_secrets(options: Sequence[Option], variables: Mapping[str, str]) -> SecretVariables:
    """Replace each variable that names the file of a secret by the variable of the option, with the file's content.

    Only options whose values are secret have such a variable. One whose file cannot be used is left out.
    """
    result = SecretVariables(dict(variables))
    for name in (option.name for option in options if option.facts.secret):
        variable = ENVIRONMENT_PREFIX + name.upper()
        path = result.variables.pop(variable + SUFFIX, "")
        if not path:
            continue
        try:
            if variable in variables:
                raise UnusableSecret(f"{variable} is set, too; remove one of them")
            result.variables[variable] = _read(path)
        except UnusableSecret as error:
            result.unusable[name] = f"{variable + SUFFIX}: {error}"
        else:
            result.spellings[name] = name + SUFFIX.lower()
    return result


def _read(path: str) -> str:
    """Return the content of a file without the line breaks at its end. Raises UnusableSecret."""
    try:
        mode = Path(path).stat().st_mode  # before the file is opened, because opening a pipe waits for its writer
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # a directory has an error of its own
            raise UnusableSecret(f"{path} is not a regular file; it is read again at each reload")
        with Path(path).open("rb") as file:
            content = file.read(MAX_SIZE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UnusableSecret(f"cannot read {path}: {reason}") from None
    if len(content) > MAX_SIZE:
        raise UnusableSecret(f"{path} has more than {MAX_SIZE:,} bytes, and is not a secret")
    try:
        text = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise UnusableSecret(f"{path} is not UTF-8 text") from None
    if not text:
        raise UnusableSecret(f"{path} is empty")
    return text
