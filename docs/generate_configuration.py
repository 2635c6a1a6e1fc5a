"""Writes docs/configuration.md from the declared options: `python docs/generate_configuration.py`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from gentrifugo.app.config.channel_options import ChannelOptions, Namespace
from gentrifugo.app.config.config import Config
from gentrifugo.app.config.options import Option, options_of

PAGE = Path(__file__).with_name("configuration.md")

INTRODUCTION = """\
# Configuration

<!-- Written by docs/generate_configuration.py from the options in app/config/config.py: change those, then run it. -->

## Where options come from

Every option has a default. The configuration file overrides the default, an environment variable overrides the file,
and a command line flag overrides both:

    default < file < environment < flag

So `gentrifugo --config=config.json --port=9000` listens on port 9000, even if the file contains another port.

**The file** is JSON, TOML or YAML. The suffix tells which: `.json`, `.toml`, `.yaml` or `.yml`. All three can hold the
same options. Without `--config` the server reads `config.json` in the current directory. `conf/` has a sample in each
format; the samples leave `secret` to the environment. A file with channel options and one namespace looks like this in
JSON:

<!-- run by tests/app/config/test_configuration_page.py -->
```json
{
  "secret": "put a long random text here",
  "log_level": "debug",
  "presence": true,
  "namespaces": [
    {
      "name": "public",
      "publish": true,
      "anonymous": true,
      "history_size": 10,
      "history_lifetime": 30
    }
  ]
}
```

The same in YAML:

<!-- run by tests/app/config/test_configuration_page.py -->
```yaml
secret: put a long random text here
log_level: debug
presence: true
namespaces:
  - name: public
    publish: true
    anonymous: true
    history_size: 10
    history_lifetime: 30
```

And in TOML, where the namespaces come last:

<!-- run by tests/app/config/test_configuration_page.py -->
```toml
secret = "put a long random text here"
log_level = "debug"
presence = true

[[namespaces]]
name = "public"
publish = true
anonymous = true
history_size = 10
history_lifetime = 30
```

Where an option is a comma-separated text, a file may also have a list of its items, such as
`"allowed_origins": ["https://a.example", "https://b.example"]`. So may the options of a Flask application.

**An environment variable** is `CENTRIFUGO_` plus the option's name in capitals: `CENTRIFUGO_SECRET`,
`CENTRIFUGO_LOG_LEVEL`. An empty variable counts as not set. A variable such as `GENTRIFUGO_PORT` sets nothing, and
causes a warning.

**A flag** is the option's name with two dashes in front. Underscores and dashes are the same: `--log_level=debug`,
`--log-level debug`. Booleans need no value: `--insecure` means `--insecure=true`. A few flags have a short form, such
as `-p` for `--port`; the tables below show it beside the name.

Keep secrets in the file or in the environment. Every user of the machine can read the flags of a running process.

**A secret** can also be the content of a file of its own, as Docker, Kubernetes and systemd provide them. Add `_FILE`
to its variable: `CENTRIFUGO_REDIS_PASSWORD_FILE=/run/secrets/redis` sets `redis_password` to the content of this file,
without line breaks at its end. The options with such a variable are those whose values are secret: `secret`,
`token_hmac_secret_key`, `token_hmac_previous_secret_key`, `api_key`, `hook_secret`, `admin_password`, `admin_secret`,
`redis_password` and `redis_url`. A file that is empty or cannot be read is an error, and so is a variable that also
contains the value. A reload with `HUP` reads the file again, so it must be a regular file, not a pipe. With `--app`,
these variables have no effect: the application sets its secrets.

You can set every option in all three places, except `namespaces`, which only a file can hold. You need no file if
the environment and the flags set `secret` or a key for [tokens](jwt.md), or if `insecure` is on.

A server without `api_key` and without `secret` refuses all backends, unless `insecure_api` is on. If only its clients
publish, that is intended. So the log, `checkconfig` and `doctor` only warn of it, also with `--strict`.

## Commands

| Command | What it does |
|---|---|
| `gentrifugo serve` | starts the server; this is what `gentrifugo` does without a command |
| `gentrifugo checkconfig` | checks the configuration, and exits |
| `gentrifugo doctor` | checks the configuration, the machine and the connection to Redis, and suggests remedies |
| `gentrifugo genconfig` | writes a configuration file with fresh secrets |
| `gentrifugo gentoken` | prints a [token](jwt.md#by-hand) for a user |
| `gentrifugo checktoken` | verifies a [token](jwt.md#by-hand), and shows its claims |
| `gentrifugo version` | shows the version, like `gentrifugo --version` |
| `gentrifugo completion` | prints a script that lets bash or zsh complete commands and flags |
| `gentrifugo help` | shows the flags of all options; `gentrifugo --help` shows only the common ones |

`gentrifugo gentoken --help` explains a command, and lists its flags; so does `--help` with every command.

The first six take `--config=FILE`, or `-c FILE`. `gentrifugo genconfig --config=config.yaml` writes YAML,
because of the suffix; without `--config` it writes `config.json`. Only you can read the file that it writes, and it
never overwrites one. `gentrifugo --app module` serves a [Flask application](flask.md#running-it) with the
configuration of that application, and with `--reload` restarts it
[when its code changes](flask-development.md). With `--app`, `checkconfig` and `doctor` load the application and check
the configuration with which it would be served, also with `--workers`; `gentoken` and `checktoken` use its keys.
`python -m gentrifugo` is the same program as `gentrifugo`.

To complete commands, flags and their values with the Tab key in bash (version 4 or newer), add the line
`source <(gentrifugo completion bash)` to `~/.bashrc`. In zsh, add `source <(gentrifugo completion zsh)` to `~/.zshrc`,
after `compinit`.

## What is checked

`gentrifugo checkconfig --config=config.json` makes all the checks that a server makes before it starts: of values, of
files and directories, certificates, addresses, and of options that do not go together. Its exit status is 1 if the
server would not start. It does not check whether a port is free; `gentrifugo doctor` does that. It reports all
problems at once, and says for each where the value comes from, what is expected, and which value it is; secrets are not
shown:

    gentrifugo: config.json: namespaces[1].history_size: Must be an integer; the value is "many".
    gentrifugo: CENTRIFUGO_PORT: Must be between 0 and 65535; the value is "70000".

Warnings are about values that are possible, but probably not meant: insecure modes, secrets that are short or serve two
purposes, options without effect, and times such as `"ping_interval": 25000`, which are in seconds and not in
milliseconds. With `--strict` every warning is an error, also when the server starts or reloads.

Some options have other names in Centrifugo v2 to v6, such as `history_ttl` for `history_lifetime`. If such an option
means exactly the same and takes the same values, you can use the other name in all places; the tables below show it. If
you use both names, the option's name here is used, with a warning about the other one.

An unknown option in the file only causes a warning, which suggests the option that was misspelt. For an option of
another Centrifugo version it names the option to use here, or says why there is none, also inside the objects of v6
such as `client`. So the file may contain values for other programs. An unknown flag is an error. The variables that
Kubernetes sets for a service named `centrifugo`, such as `CENTRIFUGO_PORT=tcp://10.0.0.7:8000`, are ignored with one
warning.

Numbers and booleans may be written as strings: `"port": "8000"`. The reverse is an error, because YAML would read
`secret: 0123` as 83. Put such strings in quotes.

As in Centrifugo v1, a file may spell the names of options in upper or lower case, and an option that is `null` has its
default. Short flags may share a word: `-wd` is `-w -d`. What follows `--` is no flag, as in
`checktoken --config=config.json -- TOKEN`.

## Changing options while the server runs

Send `HUP` to the process, and it reloads its configuration. Options with *yes* in the column *HUP* change immediately,
but queue sizes, ping intervals and write timeouts apply only to new connections. All other options keep their value
until a restart, and a warning names those that have changed. If the new configuration is invalid, the server logs the
problems and keeps the current one.

## Options

Times are in seconds and may have a fraction. They may also be written with units, as in Centrifugo since v4: `"1m30s"`,
`"720h"`, `"500ms"`. The units are `h`, `m`, `s`, `ms`, `us` and `ns`. Sizes are in bytes. "No effect" marks options of
Centrifugo that Gentrifugo accepts and ignores, so that you can use the same file for both.
"""

CHANNELS_GROUP_END = "client_channel_limit"
"""The option that opens the group after that of the channels."""

NAMESPACES = """\
### Namespaces

`namespaces` is a list of objects. Each has a `name` and any of the channel options above. Options that it does not set
have their defaults; a namespace does not inherit from the top level. A namespace applies to channels whose names
begin with its name and a colon: `public:news` is in the namespace `public`. If a channel's name has a namespace that is
not configured, clients and the API get the error `namespace not found`.

"""

HEADING = """\
| Option | What it does | Type | Default | HUP |
|---|---|---|---|---|
"""


def page() -> str:
    """Return the whole reference page."""
    return INTRODUCTION + "".join(sections())


def sections() -> Iterator[str]:
    """Yield the groups of options, and the namespaces after the channel options."""
    for option in options_of(Config):
        if option.name in Config.GROUPS:
            if option.name == CHANNELS_GROUP_END:
                yield f"\n{NAMESPACES}{HEADING}" + "".join(namespace_rows())
            yield f"\n### {Config.GROUPS[option.name]}\n\n{HEADING}"
        yield row(option)


def namespace_rows() -> Iterator[str]:
    """Yield the one option that only namespaces have."""
    shared = {option.name for option in options_of(ChannelOptions)}
    return (row(option) for option in options_of(Namespace) if option.name not in shared)


def row(option: Option) -> str:
    """Return one option as a row of its group's table."""
    name = f"`{option.name}`" + (f" `{option.facts.short}`" if option.facts.short else "")
    return line([name, sentence(option), kind(option), default(option), hup(option)])


def default(option: Option) -> str:
    """Return the default as a file would spell it."""
    if option.is_required:
        return "required"
    return f"`{option.default_text}`" if option.default_text else "none"


def line(cells: Iterable[str]) -> str:
    """Return one row of a table."""
    return f"| {' | '.join(cells)} |\n"


def kind(option: Option) -> str:
    """Return the type, its unit, and what it may hold when that is a short list."""
    if option.choices:
        return ", ".join(f"`{choice}`" for choice in option.choices)
    return f"{option.kind}, {option.facts.unit}" if option.facts.unit else option.kind


def hup(option: Option) -> str:
    """Return whether HUP applies a change."""
    return "yes" if option.facts.reload else "no"


def sentence(option: Option) -> str:
    """Return what the option does, why it has no effect here, and its other names."""
    parts = [option.facts.about]
    if option.facts.no_effect:
        parts.append(f"No effect: {option.facts.no_effect}.")
    if option.facts.aliases:
        parts.append(f"Other names: {', '.join(f'`{alias}`' for alias in option.facts.aliases)}.")
    return " ".join(parts)


def write_page() -> None:
    """Write the page if it has changed: tests that read it may run at the same time."""
    text = page()
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_page()
