"""Says what is wrong with the value of an option: where it was set, what is expected, and which value was given.

Values of secret options are never shown, nor is anything else that is likely to be a secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .command_line import GivenOptions
from .config import Config
from .options import options_of

NESTED = " Options are not nested here; docs/from-centrifugo.md describes those of Centrifugo 6."
"""Added to the error of an option that has an object as its value, as many have in version 6."""
MAX_SHOWN_VALUE = 80
"""Maximum characters of a value in an error text."""
SHOWS_VALUE = re.compile(r"Must (?!have |not be empty|be a public key)")
"""How an error text begins to which the value is added. Others contain it, and a public key may be a private one."""
PATH_PARTS = re.compile(r"[^.\[\]]+")
"""The names and numbers in the path of a value, such as `namespaces[1].history_size`."""
CREDENTIALS = re.compile(r".*@|\?.*", re.DOTALL)
"""The user name and the password in a URL, also in one with a mistake before them, and its query."""
LISTS = frozenset(option.name for option in options_of(Config) if option.item_type)
SECRETS = frozenset(option.name for option in options_of(Config) if option.facts.secret)


def describe_invalid(given: GivenOptions, wrong: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield one error text for each invalid value; `wrong` has the path of each, and what is expected.

    An example is `CENTRIFUGO_PORT: Must be an integer; the value is "abc".`
    """
    values = given.values
    for path, expected in wrong:
        if isinstance(values.get(path), Mapping) and path not in LISTS:
            text = expected + NESTED
        elif path not in SECRETS and SHOWS_VALUE.match(expected):
            text = f"{expected.removesuffix('.')}; the value is {_text_of(_value_at(values, path))}."
        else:
            text = expected
        yield f"{given.place(path)}: {text}"


def _value_at(values: Any, path: str) -> Any:
    for step in PATH_PARTS.findall(path):
        values = values[int(step)] if isinstance(values, Sequence) else values[step]
    return values


def _text_of(value: Any) -> str:
    """Return a value as JSON, without the credentials in a URL; only the type of a list or an object."""
    if value is None or isinstance(value, (bool, int, float)):
        return json.dumps(value)
    if isinstance(value, Mapping):
        return "an object"
    if not isinstance(value, str):
        name = type(value).__name__
        return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
    text = CREDENTIALS.sub("…", value)
    shown = text if len(text) <= MAX_SHOWN_VALUE else f"{text[:MAX_SHOWN_VALUE]}…"
    return json.dumps(shown, ensure_ascii=False).encode(errors="backslashreplace").decode()
