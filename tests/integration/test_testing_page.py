"""The tests on the page testing.md, and those of the example sites, in processes that gevent has not patched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import page
from tests.parts import ROOT
from tests.waiting import seconds

EXAMPLE = ROOT / "examples" / "flask"
BLOCKS = [block.text for block in page("testing.md").blocks if block.language == "python"]
PATCH = "from gevent import monkey\n\nmonkey.patch_all()\n\n"


def block(words: str) -> str:
    """The only block of the page that contains these words."""
    (found,) = (text for text in BLOCKS if words in text)
    return found


def write_site(directory: Path, conftest: str = "") -> None:
    files = {
        "news.py": block("def create_app"),
        "conftest.py": conftest + block("pytest_plugins"),
        "test_published.py": block("def test_a_message_is_published"),
        "test_arrives.py": block("def test_a_message_arrives(app, realtime_client)"),
        "test_sessions.py": block("def test_the_session_says_who_connects"),
        "test_v2.py": block("def test_a_client_of_protocol_v2"),
        "test_cases.py": block("class NewsTest"),
    }
    assert len(files) == len(BLOCKS)
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")


def run(directory: Path, *arguments: str) -> str:
    """Run Python with these arguments, which must not fail, and return its output."""
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "SECRET_KEY": "key"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", *arguments],
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds(60),
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def pytest_in(directory: Path) -> str:
    return run(directory, "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=.", "-c", os.devnull, ".")


@pytest.mark.parametrize("conftest", ["", PATCH], ids=["not patched", "patched"])
def test_tests_of_the_page_pass(tmp_path: Path, conftest: str) -> None:
    write_site(tmp_path, conftest)
    assert "6 passed" in pytest_in(tmp_path)


def test_unittest_of_the_page_passes(tmp_path: Path) -> None:
    write_site(tmp_path)
    assert "Ran 1 test" in run(tmp_path, "unittest", "test_cases")


def test_tests_of_the_examples_pass() -> None:
    assert "9 passed" in pytest_in(EXAMPLE)
