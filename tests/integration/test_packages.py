"""The wheel and the source distribution: their contents, their build, and the installed wheel."""

from __future__ import annotations

import os
import re
import shutil
import site
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from gentrifugo import __version__
from tests.admin_client import PASSWORD
from tests.api_client import APIClient
from tests.docs.pages import read
from tests.parts import ROOT, program
from tests.protocol_client import ProtocolClient
from tests.redis_server import redis_server
from tests.servers import LISTENING, Server, running
from tests.waiting import eventually, seconds

VENDOR = ROOT / "admin" / "web" / "vendor"
DESCRIPTION = ROOT / "DESCRIPTION.md"
ROOT_FILES = {"__init__.py", "__main__.py", "_version.py", "testing.py", "py.typed"}
ENDS = {"app": {".py", ".pyi"}, "engines": {".py", ".lua"}, "admin": {".py"}, "client": {".py"}}
"""The directories of the package, and the ends of the names of its files in them."""
BUILDING = {
    *("setup.py", "pyproject.toml", "MANIFEST.in", "LICENSE", "scripts/web_libraries.sh"),
    *("DESCRIPTION.md", "admin/package.json", "admin/package-lock.json"),
    "admin/web/vendor/package-lock.json",
    *("app/net/_send_many.c", "app/net/_send_jobs.c", "app/net/_send_jobs.h"),
}
"""The other files of a source distribution: those that building it needs."""
MODULE_IN_C = f"gentrifugo/app/net/_send_many{sysconfig.get_config_var('EXT_SUFFIX')}"
COMPILER = ("gcc", "as", "ld")
"""The programs that compile it."""
NOT_COPIED = shutil.ignore_patterns(
    ".*", "node_modules", "vendor", "build", "dist", "*.egg-info", "__pycache__", "*.so", "tests"
)
NPM = """\
#!/bin/sh
# Installs what is pinned, as `npm ci` does, from a directory.
set -e
[ "$1" = ci ]
cp -r {libraries} node_modules
"""


@dataclass(frozen=True)
class Build:
    """A wheel and a source distribution."""

    clone: Path
    wheel: Path
    sdist: Path

    @property
    def metadata(self) -> Message:
        with zipfile.ZipFile(self.wheel) as wheel:
            return Parser().parsestr(wheel.read(f"gentrifugo-{__version__}.dist-info/METADATA").decode())


def package_files() -> set[str]:
    """The files of the package in the repository."""
    code = {
        str(path.relative_to(ROOT))
        for directory, ends in ENDS.items()
        for path in (ROOT / directory).rglob("*")
        if path.suffix in ends
    }
    web = {str(path.relative_to(ROOT)) for path in (ROOT / "admin" / "web").rglob("*") if path.is_file()}
    return ROOT_FILES | code | web - BUILDING


def run(*command: str | Path, directory: Path, path: str = "") -> str:
    """Run a command, which must succeed, and return its output."""
    done = attempt(*command, directory=directory, path=path)
    assert done.returncode == 0, done.stdout
    return done.stdout


def attempt(*command: str | Path, directory: Path, path: str = "") -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CENTRIFUGO_")}
    return subprocess.run(
        [str(word) for word in command],
        cwd=directory,
        env={**environment, "PATH": path or environment["PATH"], "PIP_NO_INDEX": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds(50),
    )


def pip_wheel(source: Path, into: Path, path: str = "") -> subprocess.CompletedProcess[str]:
    """`pip wheel`, with the setuptools that is installed here instead of one from an index."""
    words = ("wheel", "--no-deps", "--no-build-isolation", "--no-cache-dir", "--wheel-dir", into, source)
    return attempt(sys.executable, "-m", "pip", *words, directory=source.parent, path=path)


def copy_of_the_repository(directory: Path) -> Path:
    """The repository as a clone has it, without the libraries of the web interface."""
    clone = directory / "clone"
    shutil.copytree(ROOT, clone, ignore=NOT_COPIED)
    return clone


@pytest.fixture(scope="module")
def npm(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH with an `npm` that installs the libraries from a directory, because tests reach no registry."""
    if not (VENDOR / "package-lock.json").is_file():
        pytest.skip("the libraries of the web interface are not there: make install puts them there")
    directory = tmp_path_factory.mktemp("npm")
    libraries = directory / "libraries"
    for source, target in (
        ("uplot", "uplot/dist"),
        ("ace", "ace-builds/css"),
        ("ace", "ace-builds/src-min-noconflict"),
    ):
        shutil.copytree(VENDOR / source, libraries / target)
        shutil.copy(VENDOR / source / "LICENSE", (libraries / target).parent)
    (directory / "bin").mkdir()
    command = directory / "bin" / "npm"
    command.write_text(NPM.format(libraries=libraries))
    command.chmod(0o755)
    return f"{command.parent}:{os.environ['PATH']}"


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory, npm: str) -> Build:
    """Build both from a clone with files of a user and of an earlier build."""
    clone = copy_of_the_repository(tmp_path_factory.mktemp("build"))
    for name in ("publish.py", "config.json", "build/lib/gentrifugo/app/removed.py", "gentrifugo.egg-info/SOURCES.txt"):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text("publish.py\n" if name.endswith("SOURCES.txt") else "")
    out = clone.parent / "out"
    done = pip_wheel(clone, out, npm)
    assert done.returncode == 0, done.stdout
    backend = f"from setuptools import build_meta; build_meta.build_sdist({str(out)!r})"
    run(sys.executable, "-c", backend, directory=clone, path=npm)
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return Build(clone, wheel, sdist)


class TestFiles:
    def test_wheel_contains_only_the_package(self, build: Build) -> None:
        names = set(zipfile.ZipFile(build.wheel).namelist()) - {MODULE_IN_C}
        information = {name for name in names if name.startswith(f"gentrifugo-{__version__}.dist-info/")}
        assert names - information == {f"gentrifugo/{name}" for name in package_files()}
        assert f"gentrifugo-{__version__}.dist-info/licenses/LICENSE" in information

    def test_wheel_contains_the_c_module(self, build: Build) -> None:
        assert MODULE_IN_C in zipfile.ZipFile(build.wheel).namelist()

    def test_sdist_contains_the_package_and_its_build_files(self, build: Build) -> None:
        with tarfile.open(build.sdist) as sdist:
            names = {member.name.partition("/")[2] for member in sdist.getmembers() if member.isfile()}
        assert names - {"PKG-INFO", "setup.cfg"} == package_files() | BUILDING

    def test_no_metadata_stays_in_the_clone(self, build: Build) -> None:
        """Python reads metadata in the current directory first, and would not find entry points of later versions."""
        assert [path.name for path in (build.clone / "gentrifugo.egg-info").iterdir()] == ["SOURCES.txt"]

    @pytest.mark.parametrize("library", ["uplot/uPlot.esm.js", "uplot/uPlot.min.css", "ace/ace.js", "ace/mode-json.js"])
    def test_packages_contain_web_libraries_with_licences(self, build: Build, library: str) -> None:
        names = zipfile.ZipFile(build.wheel).namelist()
        for name in (library, f"{library.partition('/')[0]}/LICENSE"):
            assert f"gentrifugo/admin/web/vendor/{name}" in names

    def test_a_wheel_of_the_source_distribution_is_the_same_and_needs_no_npm(
        self, build: Build, tmp_path: Path
    ) -> None:
        done = pip_wheel(build.sdist, tmp_path, path_without_npm(tmp_path, COMPILER))
        assert done.returncode == 0, done.stdout
        (wheel,) = tmp_path.glob("*.whl")
        assert contents(wheel) == contents(build.wheel)


def contents(wheel: Path) -> dict[str, int]:
    """The checksum of each file in a wheel, apart from the list of the checksums.

    The C module has none, since a compiler writes the path of the source into it.
    """
    files = [info for info in zipfile.ZipFile(wheel).infolist() if "RECORD" not in info.filename]
    return {info.filename: 0 if info.filename == MODULE_IN_C else info.CRC for info in files}


def test_without_a_compiler_the_wheel_is_built_without_the_c_module(build: Build, tmp_path: Path) -> None:
    done = pip_wheel(build.sdist, tmp_path, path_without_npm(tmp_path))
    assert done.returncode == 0, done.stdout
    (wheel,) = tmp_path.glob("*.whl")
    assert contents(build.wheel).keys() - contents(wheel).keys() == {MODULE_IN_C}


def path_without_npm(directory: Path, others: tuple[str, ...] = ()) -> str:
    """A PATH with what scripts/web_libraries.sh runs before it looks for npm, and these programs."""
    programs = directory / "programs"
    programs.mkdir()
    for name in ("bash", "dirname", *others):
        (programs / name).symlink_to(program(name))
    return str(programs)


class TestLibrariesThatCannotBeHad:
    def test_build_without_npm_fails(self, tmp_path: Path) -> None:
        clone = copy_of_the_repository(tmp_path)
        done = pip_wheel(clone, tmp_path / "out", path_without_npm(tmp_path))
        assert done.returncode != 0
        assert "npm is missing: the libraries of the web interface are not installed" in done.stdout
        assert "the libraries of the web interface could not be installed. Building gentrifugo from" in done.stdout
        assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())

    def test_failure_of_npm_fails_the_build_and_keeps_older_libraries(self, tmp_path: Path) -> None:
        clone = copy_of_the_repository(tmp_path)
        older = clone / "admin" / "web" / "vendor" / "package-lock.json"
        older.parent.mkdir()
        older.write_text("{}")
        failing = tmp_path / "npm"
        failing.write_text("#!/bin/sh\nexit 1\n")
        failing.chmod(0o755)
        done = pip_wheel(clone, tmp_path / "out", f"{tmp_path}:{os.environ['PATH']}")
        assert done.returncode != 0
        assert "npm has failed: the libraries of the web interface are not installed" in done.stdout
        assert older.read_text() == "{}"


class TestMetadata:
    def test_the_package_has_the_version_of_the_code(self, build: Build) -> None:
        assert (build.metadata["Name"], build.metadata["Version"]) == ("gentrifugo", __version__)

    def test_package_metadata_is_complete(self, build: Build) -> None:
        for field in ("Summary", "Author", "License-Expression", "Keywords", "Project-URL", "Requires-Python"):
            assert build.metadata[field], field
        assert "Framework :: Flask" in build.metadata.get_all("Classifier", [])

    def test_the_description_has_no_link_that_only_the_repository_can_resolve(self, build: Build) -> None:
        text = build.metadata.get_payload()
        assert isinstance(text, str)
        assert text.strip() == DESCRIPTION.read_text(encoding="utf-8").strip()
        assert build.metadata["Description-Content-Type"] == "text/markdown"
        assert "<img" not in text
        for link in re.findall(r"\]\(([^)]*)\)", text):
            assert link.startswith("https://"), link


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, build: Build) -> Path:
    """The programs of a new environment, outside the repository, into which the wheel was installed.

    Its dependencies are those of the environment that runs the tests, whose own installation of Gentrifugo is not
    visible there: Python obeys .pth files, such as that of an editable installation, in the environment's own directory
    only.
    """
    home = tmp_path_factory.mktemp("installed")
    environment = home / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", environment, directory=home)
    python = environment / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "--no-deps", build.wheel, directory=home)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    where = run(python, "-c", "import gentrifugo; print(gentrifugo.__file__)", directory=home).strip()
    assert Path(where).is_relative_to(packages)
    return python.parent


class TestInstalled:
    def test_the_command_and_the_module_are_the_same_program(self, installed: Path, tmp_path: Path) -> None:
        for command in ([installed / "gentrifugo"], [installed / "python", "-m", "gentrifugo"]):
            assert run(*command, "--version", directory=tmp_path) == f"Gentrifugo v{__version__}\n"

    def test_installed_package_serves_the_web_interface_with_libraries(self, installed: Path, tmp_path: Path) -> None:
        options = {"web": True, "admin_password": PASSWORD, "admin_secret": "secret"}
        with running(options, tmp_path, program=installed / "gentrifugo") as server:
            api = APIClient(server.host, server.port)
            assert b"<title>Gentrifugo</title>" in api.request("GET", "/").body
            for name in ("uplot/uPlot.esm.js", "ace/ace.js"):
                assert api.request("GET", f"/vendor/{name}").body == (VENDOR / name).read_bytes()
            check_that_messages_arrive(server)

    def test_installed_package_runs_with_several_workers(self, installed: Path, tmp_path: Path) -> None:
        with redis_server(tmp_path) as redis:
            options = {**redis.options, "workers": 2}
            with running(options, tmp_path, program=installed / "gentrifugo") as server:
                check_that_messages_arrive(server)

    def test_the_flask_application_of_the_description_runs(self, installed: Path, tmp_path: Path) -> None:
        (block,) = (block for block in read(DESCRIPTION).blocks if block.language == "python")
        (tmp_path / "news.py").write_text(block.text)
        log = tmp_path / "site.log"
        command = [str(installed / "gentrifugo"), "--app", "news:app", "--address=127.0.0.1", "--port=0"]
        with log.open("wb") as out:
            process = subprocess.Popen(command, cwd=tmp_path, stdout=out, stderr=subprocess.STDOUT)
        try:
            match = eventually(lambda: LISTENING.search(log.read_text()), within=10, what=log.read_text)
            api = APIClient(match[2], int(match[3]))
            answer = api.request("POST", "/news/hello")
            assert (answer.status, answer.body) == (200, b"published\n")
        finally:
            process.terminate()
            assert process.wait(seconds(15)) == 0


def check_that_messages_arrive(server: Server) -> None:
    with ProtocolClient(server, "ann") as client:
        client.subscribe("news")
        APIClient(server.host, server.port).publish("news", "hello")
        assert client.message() == "hello"
