"""References of the pages exist: other pages, files, options, names in the code, make targets, commands."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from benchmarks.cli import parse as parse_benchmark
from gentrifugo.app.cli import SUBCOMMANDS
from gentrifugo.app.config import command_line
from gentrifugo.app.config.config import Config as Configuration
from gentrifugo.app.config.loading import load
from gentrifugo.app.config.options import ConfigError, options_of
from tests.docs.pages import ROOT, ROOT_PAGES, Page, pages, read
from tests.waiting import seconds

PAGES = [*map(read, ROOT_PAGES), *pages()]
EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=[page.path.stem for page in PAGES])

NAMES_OF_OTHERS = {
    *("gevent_pywsgi", "gevent_wsgi", "graceful_timeout", "worker_class", "worker_connections"),  # gunicorn
    *("before_request", "current_user", "make_app"),  # Flask and Flask-Login
    *("cors_allowed_origins", "leave_room", "message_queue"),  # Flask-SocketIO
    *("bind_global", "member_added", "member_removed", "send_to_user", "socket_id"),  # Pusher
    *("get_token", "use_protobuf"),  # centrifuge-python
    *("generate_api_sign", "generate_channel_sign", "generate_token"),  # cent
    *(
        "client_connection_limit",
        "client_connection_rate_limit",
        "global_history_meta_ttl",
        "http_headers",
    ),  # Centrifugo
    "separate_subscription_token_config",  # Centrifugo 5
}
SOURCES = (
    *(
        "*.py",
        "admin/*.py",
        "client/*.py",
        "app/**/*.py",
        "engines/*.py",
        "engines/redis/*.py",
        "conf/*",
        "docs/*.py",
        "tests/*.py",
        "Makefile",
    ),
)
DIRECTORIES = ("app", "engines", "admin", "client", "tests", "docs", "conf", "examples", "scripts", "benchmarks")

FILES = (".log", ".pid", ".service", ".socket", ".spec")
"""Ends of names that are files and no modules."""

_SNAKE = re.compile(r"[a-z]+(?:_[a-z0-9]+)+")
_FILE = re.compile(rf"(?:{'|'.join(DIRECTORIES)})/[\w./-]*|[\w-]+\.(?:py|md|txt|yaml|toml)|\.ci/\w+")
_HISTOGRAM = re.compile(r"(client|http)_api_1|microseconds_")
_METRIC = re.compile(r"(?:gentrifugo|centrifugo|process)_")
"""Names of metrics, which tests/integration/test_prometheus.py compares with a scrape."""
"""Names that are put together; test_tables.py has all of them."""
_MADE_BY_USERS = {
    "config.json",
    "config.toml",
    "config.yaml",
    "chat.py",
    "conftest.py",
    "listen.py",
    "news.py",
    "publish.py",
}


@EVERY_PAGE
def test_links_have_existing_targets(page: Page) -> None:
    assert [link for link in page.links if not link.startswith("https://") and not _leads_somewhere(page, link)] == []


def _leads_somewhere(page: Page, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.path.parent / path).resolve() if path else page.path
    return target.exists() and (not anchor or anchor in _anchors(target))


@cache
def _anchors(path: Path) -> set[str]:
    """The anchors of a page that are the same in MkDocs and on GitHub, and stand for one heading only."""
    headings = read(path).headings
    mkdocs = [re.sub(r"[-\s]+", "-", _words(heading)) for heading in headings]
    github = [_words(heading).replace(" ", "-") for heading in headings]
    return {one for one, other in zip(mkdocs, github, strict=True) if one == other and mkdocs.count(one) == 1}


def _words(heading: str) -> str:
    return re.sub(r"[^\w\s-]", "", heading).strip().lower()


def test_index_links_every_page() -> None:
    linked = {link.partition("#")[0] for page in PAGES if page.path.stem == "index" for link in page.links}
    assert {page.path.name for page in pages()} - linked == {"index.md"}


@EVERY_PAGE
def test_named_files_exist(page: Page) -> None:
    named = [span for span in page.code_spans if _FILE.fullmatch(span) and span not in _MADE_BY_USERS]
    assert [name for name in named if not (ROOT / name).exists()] == []


@EVERY_PAGE
def test_options_and_other_names_are_those_of_the_code(page: Page) -> None:
    names = {span.partition("=")[0].removeprefix("--") for span in page.code_spans}
    names = {name for name in names if _SNAKE.fullmatch(name) and not (_HISTOGRAM.match(name) or _METRIC.match(name))}
    assert names - _names_in_the_code() - NAMES_OF_OTHERS == set()


@cache
def _names_in_the_code() -> set[str]:
    files = (file for pattern in SOURCES for file in ROOT.glob(pattern) if file.is_file())
    return {name for file in files for name in re.findall(r"\w+", file.read_text(encoding="utf-8"))}


@EVERY_PAGE
def test_dotted_names_can_be_imported(page: Page) -> None:
    for name in page.code_spans:
        if re.fullmatch(r"gentrifugo(\.\w+)+", name) and not name.endswith(FILES):
            module, _, last = name.rpartition(".")
            assert hasattr(importlib.import_module(module), last) or importlib.import_module(name)


@EVERY_PAGE
def test_named_make_targets_exist(page: Page) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    spans = [*page.code_spans, *page.commands]
    targets = [match[1] for span in spans if (match := re.match(r"make ([a-z-]+)", span))]
    assert [target for target in targets if f"\n{target}:" not in makefile] == []


@EVERY_PAGE
def test_options_in_brackets_have_that_default(page: Page) -> None:
    """`option` (25 s), `option` (10 MiB), `option` (255): the number is the default."""
    defaults = {option.name: option.default for option in options_of(Configuration)}
    for name, number, unit in re.findall(r"`(\w+)`(?: bytes)? \((\d+) ?(s|ms|KiB|MiB)?\b", page.prose):
        assert float(number) * {"ms": 0.001, "KiB": 2**10, "MiB": 2**20}.get(unit, 1) == defaults[name], name


def _commands(program: str) -> list[list[str]]:
    """The arguments of each command of that program, on lines of its own and in backticks."""
    pages = [*PAGES, read(ROOT / "docs" / "configuration.md")]
    lines = [line for page in pages for line in (*page.commands, *page.code_spans)]
    beginning = re.compile(rf"(?:[\w./]+/)?{program} ")
    return [shlex.split(line)[1:] for line in lines if beginning.match(line)]


def test_commands_on_pages_are_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program knows each command, and starts with those that need a configuration."""
    monkeypatch.chdir(tmp_path)
    commands = _commands("gentrifugo")
    assert commands
    for arguments in commands:
        given = command_line.read(options_of(Configuration), arguments, {})
        assert given.problems == [], arguments
        name, *words = given.words or ["serve"]
        assert name in SUBCOMMANDS, arguments
        assert words == [word for word in words if word in SUBCOMMANDS[name].choices], arguments
        if name in ("serve", "checkconfig", "doctor"):
            _assert_can_be_loaded(arguments)


def _assert_can_be_loaded(arguments: list[str]) -> None:
    try:
        load(arguments, {"CENTRIFUGO_SECRET": "secret"})
    except ConfigError as error:
        pytest.fail(f"{arguments}: {error}")


def test_benchmark_commands_are_right() -> None:
    commands = _commands("python -m benchmarks")
    assert commands
    for arguments in commands:
        parse_benchmark(arguments[2:])


def test_gunicorn_commands_are_right(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"secret": "secret"}')
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    (tmp_path / "news.py").write_text(read(ROOT / "docs" / "flask.md").blocks[0].text)
    commands = _commands("gunicorn")
    assert commands
    for arguments in commands:
        program = os.path.join(os.path.dirname(sys.executable), "gunicorn")
        result = subprocess.run(
            [program, "--check-config", *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=seconds(20)
        )
        assert result.returncode == 0, result.stderr
