"""The pinned requirements: complete, with hashes, and within the ranges of the package."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from tests.parts import ROOT
from tests.waiting import seconds

PRODUCTION = ROOT / "requirements.txt"
FILES = sorted(ROOT.glob("requirements*.txt"))
PIN = re.compile(r"([A-Za-z0-9][\w.-]*)==([\w.]+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n")
PYTHONS = ("3.11.0", "3.11.2", "3.12.0", "3.14.0")
"""The oldest, that of Debian 12, and newer ones: some packages are needed by some of them only."""
ALWAYS_THERE = {"pip"}
INSTALLED = {
    canonicalize_name(found.name): found for found in metadata.distributions(path=[sysconfig.get_path("purelib")])
}
"""What is installed, by name. Not what lies in the repository: a build may have left old metadata there."""


def pins(path: Path) -> dict[NormalizedName, str]:
    """The versions in a file by the names of the packages, including those of an included file."""
    text = path.read_text(encoding="utf-8")
    found = {canonicalize_name(name): version for name, version, _ in PIN.findall(text)}
    return found | (pins(PRODUCTION) if "-r requirements.txt" in text else {})


def needed(name: NormalizedName, python: str) -> Iterator[Requirement]:
    """The requirements of an installed package on Linux with a version of Python."""
    environment = {"python_version": python.rpartition(".")[0], "python_full_version": python, "extra": ""}
    for text in INSTALLED[name].requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            yield requirement


def allowed() -> list[Requirement]:
    """The version ranges that the package and its extras allow."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = (project["dependencies"], *project["optional-dependencies"].values())
    return [Requirement(text) for group in groups for text in group]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_line_is_a_pin_with_hashes(path: Path) -> None:
    rest = PIN.sub("", path.read_text(encoding="utf-8"))
    assert [line for line in rest.splitlines() if not line.startswith(("#", "-r requirements.txt"))] == []
    assert pins(path)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("path", [PRODUCTION, ROOT / "requirements-dev.txt"], ids=lambda path: path.stem)
def test_all_required_packages_are_pinned(path: Path, python: str) -> None:
    """pip installs nothing from a file with hashes if something is missing there."""
    pinned = pins(path)
    missing = {
        f"{name} needs {requirement}"
        for name in pinned.keys() & INSTALLED.keys()
        for requirement in needed(name, python)
        if canonicalize_name(requirement.name) not in pinned.keys() | ALWAYS_THERE
    }
    assert missing == set()


def test_tests_run_with_the_pinned_versions() -> None:
    pinned = {name: version for name, version in pins(ROOT / "requirements-dev.txt").items() if name in INSTALLED}
    assert {name: INSTALLED[name].version for name in pinned} == pinned


def test_the_pins_are_within_the_ranges_of_the_package() -> None:
    pinned = pins(PRODUCTION)
    ranges = allowed()
    assert len(ranges) > 10
    for requirement in ranges:
        assert Version(pinned[canonicalize_name(requirement.name)]) in requirement.specifier, requirement


@pytest.mark.parametrize(
    ("name", "vulnerable"),
    [
        ("cryptography", "46.0.6"),
        ("flask", "3.1.2"),
        ("gunicorn", "22.0.0"),
        ("jinja2", "3.1.5"),
        ("marshmallow", "4.1.1"),
        ("pyopenssl", "25.3.0"),
        ("requests", "2.32.5"),
        ("urllib3", "2.6.2"),
        ("werkzeug", "3.1.5"),
    ],
)
def test_the_ranges_leave_out_versions_with_known_vulnerabilities(name: str, vulnerable: str) -> None:
    ranges = allowed()
    (specifier,) = {item.specifier for item in ranges if canonicalize_name(item.name) == name}
    assert vulnerable not in specifier


UV = r"""#!/bin/sh
# Adds a hash to each pin of the file of pins, as `uv pip compile` does with the hashes of the index.
while [ $# -gt 0 ]; do
    case $1 in
    --output-file) output=$2 ;;
    */pins.txt) pins=$1 ;;
    pyproject.toml) project=yes ;;
    esac
    shift
done
{ cat "$pins"; [ -z "$project" ] || echo zzz==1.0; } | sort | while read -r pin; do
    printf '%s \\\n    --hash=sha256:%064d\n' "$pin" 0
done >"$output"
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A directory with the files that `make lock` reads and writes, and a `uv` that needs no index."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    for path in (*FILES, ROOT / "pyproject.toml", ROOT / "Makefile"):
        shutil.copy(path, tmp_path)
    uv = tmp_path / "uv"
    uv.write_text(UV)
    uv.chmod(0o755)
    return tmp_path


def lock(clone: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["scripts/lock.sh", "./uv"], cwd=clone, capture_output=True, text=True, check=False, timeout=seconds(20)
    )


class TestLock:
    def test_a_package_is_added_by_a_line_without_hashes(self, clone: Path) -> None:
        path = clone / "requirements-dev.txt"
        comment, rest = path.read_text().split("\n", 1)
        path.write_text(f"{comment}\naaa==1.0\n{rest}")
        before = pins(path)
        done = lock(clone)
        assert done.returncode == 0, done.stderr
        assert pins(path) == before | {canonicalize_name("aaa"): "1.0"}
        assert path.read_text().startswith(f"{comment}\n-r requirements.txt\naaa==1.0 \\\n    --hash=sha256:")

    def test_dependencies_of_the_package_are_added_to_its_own_requirements(self, clone: Path) -> None:
        assert lock(clone).returncode == 0
        with_package = {path.name for path in clone.glob("requirements*.txt") if "zzz==1.0" in path.read_text()}
        assert with_package == {"requirements.txt"}

    @pytest.mark.parametrize("line", ["aaa", "aaa>=1.0", "aaa == 1.0", "-e ."])
    def test_line_that_is_not_a_pin_is_an_error_and_changes_no_file(self, clone: Path, line: str) -> None:
        path = clone / "requirements-docs.txt"
        text = f"{path.read_text()}{line}\n"
        path.write_text(text)
        before = [(each, each.read_text()) for each in clone.glob("requirements*.txt")]
        done = lock(clone)
        assert done.returncode == 1
        assert done.stderr == f"requirements-docs.txt:{len(text.splitlines())}:{line}: expected NAME==VERSION\n"
        assert all(each.read_text() == content for each, content in before)

    def test_make_lock_installs_uv_alone(self, clone: Path) -> None:
        """The files cannot be installed while a pin in them has no hashes yet."""
        done = subprocess.run(
            ["make", "--dry-run", "lock"], cwd=clone, capture_output=True, text=True, check=True, timeout=seconds(20)
        )
        installs = [line for line in done.stdout.splitlines() if "pip" in line and " install " in line]
        assert [line.rpartition("--requirement ")[2] for line in installs] == [".venv/lock/requirements.txt"]
