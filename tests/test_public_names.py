"""The public names of the package: listed, documented, importable, and imported only when they are used."""

from __future__ import annotations

import os
import subprocess
import sys
from operator import attrgetter

import pytest

import gentrifugo
from tests.docs.pages import page
from tests.waiting import seconds


@pytest.mark.parametrize("name", gentrifugo.__all__)
def test_public_names_can_be_imported_and_are_listed(name: str) -> None:
    assert getattr(gentrifugo, name) is not None
    assert name in dir(gentrifugo)


def test_only_public_names_are_listed() -> None:
    assert [name for name in dir(gentrifugo) if not name.startswith("__")] == [
        name for name in gentrifugo.__all__ if not name.startswith("__")
    ]


def test_each_class_and_function_has_its_public_name() -> None:
    for name in gentrifugo.__all__:
        assert name == "__version__" or getattr(gentrifugo, name).__name__ == name


def test_page_lists_all_public_names() -> None:
    assert sorted(row[0] for row in page("flask.md").table_after("Names of the package")) == sorted(gentrifugo.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'gentrifugo' has no attribute 'Unknown'"):
        attrgetter("Unknown")(gentrifugo)


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [("Client", "httpx", "client"), ("AsyncClient", "httpx", "client"), ("GentrifugoWorker", "gunicorn", "gunicorn")],
)
def test_a_name_whose_extra_is_not_installed_says_which_one(name: str, package: str, extra: str) -> None:
    code = f"import sys; sys.modules[{package!r}] = None\ntry:\n    from gentrifugo import {name}\n"
    code += "except ImportError as error:\n    print(error.name, error, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=seconds(30))
    advice = f"pip install '/path/to/the/clone[{extra}]'"
    expected = f"gentrifugo.{name} needs {package}, which is not installed: {advice}"
    assert done.stdout.splitlines() == [package, expected], done.stderr


@pytest.mark.parametrize(
    ("package", "missing"), [("httpx", {"Client", "AsyncClient"}), ("gunicorn", {"GentrifugoWorker"})]
)
def test_importing_all_names_leaves_out_those_whose_extra_is_not_installed(package: str, missing: set[str]) -> None:
    code = f"import sys; sys.modules[{package!r}] = None\nfrom gentrifugo import *\nprint(*globals())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=seconds(30))
    imported = set(done.stdout.split())
    assert set(gentrifugo.__all__) - imported == missing, done.stderr


def test_a_module_that_is_missing_for_another_reason_is_named_unchanged() -> None:
    code = "import sys; sys.modules['msgspec'] = None; from gentrifugo import Client"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=seconds(30))
    assert "import of msgspec halted" in done.stderr.splitlines()[-1]


def test_importing_the_package_imports_nothing_that_gevent_has_to_patch() -> None:
    code = "import sys, gentrifugo; dir(gentrifugo); print(sorted({'gevent', 'ssl', 'threading'} & {*sys.modules}))"
    # A process that is measured for coverage imports them itself.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=seconds(30)
    )
    assert done.stdout == "[]\n", done.stderr


def test_https_requests_of_an_application_under_the_gunicorn_worker_let_other_greenlets_run() -> None:
    code = """
import gentrifugo
gentrifugo.GentrifugoWorker
from gevent import monkey
monkey.patch_all()
import ssl, urllib3
print(urllib3.util.ssl_.SSLContext is ssl.SSLContext)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=seconds(30))
    assert done.stdout == "True\n", done.stderr
