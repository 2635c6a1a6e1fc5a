"""Writes the scripts that let bash and zsh complete the `gentrifugo` command line.

They are generated from the table of commands and the declared options.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .options import Option
from .own_flags import FLAGS_ONLY, TOKEN_FLAGS


@dataclass(frozen=True)
class Flag:
    """A flag and its possible values."""

    names: tuple[str, ...]
    """The long name, and the short one if there is one."""
    about: str
    takes_value: bool
    choices: tuple[str, ...] = ()
    is_number: bool = False


@dataclass(frozen=True)
class Vocabulary:
    """All commands and flags that can be completed."""

    commands: Mapping[str, tuple[str, tuple[str, ...]]]
    """The description of each command, and the possible values of its argument."""
    flags: Sequence[Flag]


def vocabulary(commands: Mapping[str, tuple[str, tuple[str, ...]]], options: Iterable[Option]) -> Vocabulary:
    """Collect the commands and flags to complete. Options that only a file can set have no flag."""
    own = [
        Flag(flag.names[::-1], flag.about, flag.takes_value) for flag in (*FLAGS_ONLY.values(), *TOKEN_FLAGS.values())
    ]
    return Vocabulary(commands, [*own, *(_flag(option) for option in options if not option.item_type)])


def _flag(option: Option) -> Flag:
    names = tuple(filter(None, (option.flag, option.facts.short)))
    is_number = option.type in (int, float)
    return Flag(names, option.facts.about, option.type is not bool, option.choices, is_number)


def bash(words: Vocabulary) -> str:
    """Return a script for bash 4 or newer: `source <(gentrifugo completion bash)`."""
    values = [_bash_case(flag.names, _words(flag.choices)) for flag in words.flags if flag.choices]
    numbers = [name for flag in words.flags if flag.is_number for name in flag.names]
    texts = [name for flag in words.flags if _takes_any_text(flag) for name in flag.names]
    after = [_bash_case([name], _words(choices)) for name, (_, choices) in words.commands.items() if choices]
    return BASH.format(
        values="\n".join([*values, *after]),
        numbers="|".join(numbers),
        texts="|".join(texts),
        flags=" ".join(name for flag in words.flags for name in flag.names),
        commands=" ".join(words.commands),
        any_command="|".join(words.commands),
    )


def _takes_any_text(flag: Flag) -> bool:
    return flag.takes_value and not flag.choices and not flag.is_number


def _words(choices: Iterable[str]) -> str:
    return f'COMPREPLY=($(compgen -W "{" ".join(choices)}" -- "$word"))'


def _bash_case(names: Iterable[str], action: str) -> str:
    return f"    {'|'.join(names)}) {action}; return ;;"


def zsh(words: Vocabulary) -> str:
    """Return a script for zsh, for `source <(gentrifugo completion zsh)` or as file `_gentrifugo` in fpath."""
    commands = " ".join(_quote(f"{name}:{_escape(about, ':')}") for name, (about, _) in words.commands.items())
    after = [
        f"        {name}) _values word {' '.join(choices)} ;;"
        for name, (_, choices) in words.commands.items()
        if choices
    ]
    return ZSH.format(
        flags=" \\\n".join(f"        {spec}" for flag in words.flags for spec in _zsh_specs(flag)),
        commands=commands,
        after="\n".join(after),
    )


def _zsh_specs(flag: Flag) -> list[str]:
    """Return the specifications of a flag for `_arguments` of zsh; a flag that was given is not offered again."""
    about = _escape(flag.about, "[]:")
    excluded = f"({' '.join(flag.names)})" if len(flag.names) > 1 else ""
    value = _zsh_value(flag)
    specs = []
    for name in flag.names:
        joined = "" if not flag.takes_value else "=" if name.startswith("--") else "+"
        specs.append(_quote(f"{excluded}{name}{joined}[{about}]{value}"))
    return specs


def _zsh_value(flag: Flag) -> str:
    if not flag.takes_value:
        return ""
    action = f"({' '.join(flag.choices)})" if flag.choices else " " if flag.is_number else "_files"
    return f":value:{action}"


def _escape(text: str, characters: str) -> str:
    return "".join(f"\\{each}" if each in f"\\{characters}" else each for each in text)


def _quote(text: str) -> str:
    """Quote a text as one word of a shell."""
    return "'" + text.replace("'", "'\\''") + "'"


BASH = """\
# Completes the command line of gentrifugo in bash: source <(gentrifugo completion bash)
_gentrifugo() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} each
    COMPREPLY=()
    # bash makes three words of --engine=redis
    if [[ $word == = ]]; then
        word=
    elif [[ $before == = ]] && ((COMP_CWORD > 1)); then
        before=${{COMP_WORDS[COMP_CWORD - 2]}}
    fi
    case $before in
{values}
    {numbers}) return ;;
    {texts}) compopt -o default; return ;;
    esac
    if [[ $word == -* ]]; then
        COMPREPLY=($(compgen -W "{flags}" -- "$word"))
        return
    fi
    for each in "${{COMP_WORDS[@]:1:COMP_CWORD - 1}}"; do
        case $each in {any_command}) return ;; esac
    done
    COMPREPLY=($(compgen -W "{commands}" -- "$word"))
}}
complete -F _gentrifugo gentrifugo
"""
ZSH = """\
#compdef gentrifugo
# Completes the command line of gentrifugo in zsh, after compinit: source <(gentrifugo completion zsh)
_gentrifugo() {{
    local curcontext=$curcontext state
    local -a line commands=({commands})
    local -A opt_args
    _arguments -C \\
{flags} \\
        '1:command:->command' \\
        '2:word:->word'
    case $state in
    command) _describe command commands ;;
    word)
        case $line[1] in
{after}
        esac ;;
    esac
}}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _gentrifugo "$@"
else
    compdef _gentrifugo gentrifugo
fi
"""
SHELLS: dict[str, Callable[[Vocabulary], str]] = {"bash": bash, "zsh": zsh}
"""The functions that write the scripts, by the name of the shell."""
