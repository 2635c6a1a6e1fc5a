"""Writes docs/configuration.md from the declared options: `python docs/generate_configuration.py`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from gentrifugo.app.config import ChannelOptions, Config, Namespace
from gentrifugo.app.options import Option, options_of

PAGE = Path(__file__).with_name("configuration.md")

INTRODUCTION = """\
# Configuration

<!-- Written by docs/generate_configuration.py from the options in app/config.py: change those, then run it. -->

## Where options come from

Every option has a default. A configuration file changes it, the environment beats the file, and a flag on the command
line beats both:

    default < file < environment < flag

So `gentrifugo --config=config.json --port=9000` listens on port 9000 whatever the file says.

**The file** is JSON, TOML or YAML, told apart by its suffix (`.json`, `.toml`, `.yaml`, `.yml`), and the same options
can be given in each. Without `--config` it is `config.json` in the current directory. `gentrifugo genconfig` writes
one with fresh secrets that only you can read; `-c config.toml` or `-c config.yaml` writes it in the other formats,
and a file that is there already is never overwritten. `conf/` has a sample in each format;
they leave `secret` to the environment.

```toml
secret = "put a long random text here"
log_level = "debug"

[[namespaces]]
name = "public"
publish = true
presence = true
history_size = 10
history_lifetime = 30
```

**The environment** sets an option with `CENTRIFUGO_` and its name in capitals: `CENTRIFUGO_SECRET`,
`CENTRIFUGO_LOG_LEVEL`. An empty variable counts as not set. Secrets are better kept here or in the file than in
flags, which every user of the machine can read in the list of processes.

**Flags** are spelt like the options, with underscores or dashes: `--log_level=debug`, `--log-level debug`. Booleans
need no value: `--insecure`, though `--insecure=false` works too. `gentrifugo --help` shows the everyday flags and
`gentrifugo help` all of them; `namespaces` alone can be set only in a file.

The file may be missing when flags and environment hold all that is needed, that is `secret` or `insecure`.

## What is checked

`gentrifugo checkconfig --config=config.json` checks everything that a start would check, and ends with status 1 if the
server would not start. All problems are reported at once, each with the place where the value was given:

    gentrifugo: config.json: namespaces[1].history_size: Not a valid integer.
    gentrifugo: CENTRIFUGO_PORT: Must be greater than or equal to 0 and less than or equal to 65535.

An option that Gentrifugo does not know is a warning that names the nearest one it knows, so that a file with options
of your own still works; an unknown flag is an error. Numbers and booleans may be written as text (`"port": "8000"`).
A text may not be written as a number, because YAML would read `secret: 0123` as 83: put it in quotes.

## Changing options while the server runs

Send `HUP` to the process, and it reads the file again. Options marked *yes* under *HUP* take effect at once; queue
sizes, pings and write timeouts do so for the connections opened from then on. For the others the running value stays
until a restart, and a warning names those that changed. If anything in the new configuration is wrong, the problems
are logged and the server goes on with what it had.

## Options

Times are in seconds and may be fractions; sizes are in bytes. Each option can be set in the file under its name, in
the environment, and by its flag.
"""

NAMESPACES = """\
### Namespaces

`namespaces` is a list of objects. Each has a `name` and any of the channel options above, whose defaults are the
same; a namespace takes nothing over from the top level. Its options hold for channels whose name begins with its name
and a colon: `public:news` belongs to the namespace `public`. A channel that names a namespace which is not configured
does not exist: clients and API get the error `namespace not found`.

| Option | Type | Default | HUP | |
|---|---|---|---|---|
"""

HEADING = """\
| Option | Type | Default | Flag | Environment | HUP | |
|---|---|---|---|---|---|---|
"""


def page() -> str:
    """The whole reference page."""
    return INTRODUCTION + "".join(sections())


def sections() -> Iterator[str]:
    """The groups of options, and the namespaces after the channel options."""
    for option in options_of(Config):
        if option.name in Config.GROUPS:
            if option.name == "secret":
                yield "\n" + NAMESPACES + "".join(namespace_rows())
            yield f"\n### {Config.GROUPS[option.name]}\n\n{HEADING}"
        yield row(option)


def namespace_rows() -> Iterator[str]:
    """The one option that only namespaces have, and a pointer to the others."""
    shared = {option.name for option in options_of(ChannelOptions)}
    for option in options_of(Namespace):
        if option.name not in shared:
            yield line([f"`{option.name}`", kind(option), "required", hup(option), option.facts.about])


def row(option: Option) -> str:
    """One option as a row of its group's table."""
    flags = f"`{option.flag}`" + (f" `{option.facts.short}`" if option.facts.short else "")
    variable = f"`{option.variable}`"
    if option.item_type:
        flags = variable = "–"
    default = f"`{option.default_text}`" if option.default_text else "none"
    return line([f"`{option.name}`", kind(option), default, flags, variable, hup(option), sentence(option)])


def line(cells: Iterable[str]) -> str:
    """One row of a table."""
    return f"| {' | '.join(cells)} |\n"


def kind(option: Option) -> str:
    """The type, its unit, and what it may hold when that is a short list."""
    if option.choices:
        return ", ".join(f"`{choice}`" for choice in option.choices)
    return f"{option.kind}, {option.facts.unit}" if option.facts.unit else option.kind


def hup(option: Option) -> str:
    """Whether HUP applies a change."""
    return "yes" if option.facts.reload else "no"


def sentence(option: Option) -> str:
    """What the option does, and what it does not do here."""
    if option.facts.no_effect:
        return f"{option.facts.about} No effect: {option.facts.no_effect}."
    return option.facts.about


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
