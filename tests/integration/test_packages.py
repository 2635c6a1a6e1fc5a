"""What wheel and source distribution carry: everything that the web interface needs, with licences."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.parts import ROOT
from tests.waiting import seconds

BUILD = "import sys; from setuptools import build_meta as build; build.build_sdist('out'); build.build_wheel('out')"
SOURCES = ("*.py", "*.md", "*.toml", "py.typed", "LICENSE", "app", "engines", "admin")
LIBRARIES = ("uplot/uPlot.esm.js", "uplot/uPlot.min.css", "ace/ace.js", "ace/mode-json.js", "ace/ace.css")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with both, built from a copy of the repository."""
    pytest.importorskip("setuptools")
    if not (ROOT / "admin" / "web" / "vendor").is_dir():
        pytest.skip("the libraries of the web interface are not there: make install puts them there")
    copy = tmp_path_factory.mktemp("copy")
    for pattern in SOURCES:
        for source in ROOT.glob(pattern):
            if source.is_dir():
                shutil.copytree(source, copy / source.name)
            else:
                shutil.copy(source, copy)
    (copy / "out").mkdir()
    subprocess.run([sys.executable, "-c", BUILD], cwd=copy, check=True, capture_output=True, timeout=seconds(50))
    return copy / "out"


def expected() -> set[str]:
    """The files of the interface, below the package."""
    own = {path for path in (ROOT / "admin" / "web").rglob("*") if path.is_file()}
    return {str(path.relative_to(ROOT)) for path in own}


def test_the_wheel_carries_the_interface(packages: Path) -> None:
    (wheel,) = packages.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"gentrifugo/{name}" for name in expected()} - names == set()
    for name in (*LIBRARIES, "uplot/LICENSE", "ace/LICENSE"):
        assert f"gentrifugo/admin/web/vendor/{name}" in names


def test_so_does_the_source_distribution(packages: Path) -> None:
    (sdist,) = packages.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert expected() - names == set()
