"""The .deb and the .rpm: both are built, and the .deb is installed, started, upgraded and removed on this machine."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import supervisor

from gentrifugo import __version__
from tests.parts import ROOT, program
from tests.protocol_client import ProtocolClient
from tests.redis_server import free_port
from tests.sockjs_client import Service
from tests.supervisord import supervised
from tests.waiting import eventually, seconds

INSTALLED = Path("/opt/gentrifugo")
CONFIG = Path("/etc/gentrifugo/config.json")
RUNTIME = Path("/run/gentrifugo")

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can install packages"),
]


def run(*command: str | Path) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=seconds(300))
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fake systemctl that records its arguments and fails to start any service."""
    noted = tmp_path / "noted"
    noted.write_text("")
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$*" >>{noted}\ncase "$1" in *restart) exit 1 ;; esac\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    mark = Path("/run/systemd/system")
    is_ours = not mark.exists()
    mark.mkdir(parents=True, exist_ok=True)
    yield noted
    if is_ours:
        mark.rmdir()


@pytest.fixture(scope="module")
def packages() -> Iterator[dict[str, Path]]:
    """Both packages, by kind; installed packages are purged at the end."""
    if INSTALLED.exists():
        pytest.fail(f"{INSTALLED} is there already: this test would remove it")
    program("rpmbuild")
    subprocess.run(["make", "packages"], cwd=ROOT, check=True, timeout=seconds(350))
    names = (f"gentrifugo_{__version__}_*.deb", f"gentrifugo-{__version__}-*.rpm")
    made = {path.suffix: path for name in names for path in (ROOT / "dist").glob(name)}
    yield made
    with suppress(AssertionError):
        run("dpkg", "--purge", "gentrifugo")


@pytest.fixture
def installed(packages: dict[str, Path]) -> Iterator[None]:
    """The package, installed for the length of a test, and a directory for pid files as systemd makes it."""
    run("dpkg", "--install", packages[".deb"])
    RUNTIME.mkdir(exist_ok=True)
    shutil.chown(RUNTIME, "gentrifugo", "gentrifugo")
    yield
    shutil.rmtree(RUNTIME)
    run("dpkg", "--purge", "gentrifugo")


class Address:
    host, secret = "127.0.0.1", ""

    def __init__(self, port: int) -> None:
        self.port = port
        self.secret = json.loads(CONFIG.read_text())["secret"]


def serves_as_its_user() -> None:
    """The installed program serves clients and the web interface, as the user that the package has made."""
    port = free_port()
    command = ["runuser", "-u", "gentrifugo", "--", "/usr/bin/gentrifugo", f"--config={CONFIG}", "--web"]
    process = subprocess.Popen([*command, "--address=127.0.0.1", f"--port={port}"], cwd="/")
    try:
        eventually(lambda: found(port), within=20, what="the web interface")
        with ProtocolClient(Address(port), "ann") as client:
            client.subscribe("news")
    finally:
        process.terminate()
        assert process.wait(seconds(15)) in (0, -15, 143)


def found(port: int) -> bool:
    try:
        service = Service("127.0.0.1", port, "")
        return service.get("/").status == 200 and service.get("/vendor/uplot/uPlot.esm.js").status == 200
    except OSError:
        return False


def test_the_deb_is_installed_started_upgraded_and_removed(packages: dict[str, Path], tmp_path: Path) -> None:
    run("dpkg", "--install", packages[".deb"])
    assert re.fullmatch(r"Gentrifugo v\S+\n", run("/usr/bin/gentrifugo", "version"))
    assert oct(CONFIG.stat().st_mode)[-3:] == "640"
    serves_as_its_user()
    text = json.dumps({**json.loads(CONFIG.read_text()), "namespaces": [{"name": "chat"}]})
    CONFIG.write_text(text)
    run("dpkg", "--install", upgraded(packages[".deb"], tmp_path))
    assert CONFIG.read_text() == text
    serves_as_its_user()
    run("dpkg", "--remove", "gentrifugo")
    assert not INSTALLED.exists()
    assert CONFIG.exists()
    run("dpkg", "--purge", "gentrifugo")
    assert not CONFIG.parent.exists()
    with pytest.raises(KeyError):
        pwd.getpwnam("gentrifugo")


def test_the_log_of_the_installed_server_is_rotated(installed: None) -> None:
    """With the file that the package installs, the user that it creates, and the pid file that its unit names."""
    unit = Path("/usr/lib/systemd/system/gentrifugo.service").read_text()
    (pid_file,) = re.findall(r"^ExecStart=.* (--pid_file=\S+)$", unit, re.MULTILINE)
    log, port = Path("/var/log/gentrifugo/gentrifugo.log"), free_port()
    command = ["runuser", "-u", "gentrifugo", "--", "/usr/bin/gentrifugo", f"--config={CONFIG}", pid_file]
    process = subprocess.Popen([*command, f"--log_file={log}", f"--port={port}", "--address=127.0.0.1"], cwd="/")
    try:
        eventually(lambda: log.exists() and "listening" in log.read_text(), within=20, what="the server")
        with tempfile.TemporaryDirectory() as directory:
            run(program("logrotate"), "--force", f"--state={directory}/state", "/etc/logrotate.d/gentrifugo")
        eventually(lambda: "SIGUSR1: log file" in log.read_text())
        for path in (log, log.with_name("gentrifugo.log.1")):
            assert (path.owner(), oct(path.stat().st_mode & 0o777)) == ("gentrifugo", "0o640")
    finally:
        process.terminate()
        assert process.wait(seconds(15)) in (0, -15, 143)


@pytest.mark.parametrize("starter", ["root", "gentrifugo"])
def test_supervisord_and_the_server_run_as_the_user_of_its_file(installed: None, starter: str) -> None:
    """This holds for supervisord started by root or by this user, with a Python that every user can run."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        home, libraries = Path(directory, "home"), Path(directory, "libraries")
        home.mkdir()
        shutil.copytree(Path(supervisor.__file__).parent, libraries / "supervisor")
        command = ["/usr/bin/python3.11", "-c", "from supervisor.supervisord import main; main()"]
        started = supervised(home, INSTALLED, "gentrifugo", command, starter, PYTHONPATH=str(libraries))
        with started as supervisord:
            for pid in (supervisord.pid, supervisord.process.pid):
                assert Path(f"/proc/{pid}").owner() == "gentrifugo"
            log = home / "gentrifugo.log"
            assert (log.owner(), oct(log.stat().st_mode & 0o777)) == ("gentrifugo", "0o640")


def test_package_scripts_call_systemctl(packages: dict[str, Path], tmp_path: Path, systemctl: Path) -> None:
    """Installing enables the service, upgrading does not start a stopped one, and a failure is only reported."""

    def told() -> list[str]:
        lines = systemctl.read_text().split("\n")[:-1]
        systemctl.write_text("")
        return [line.removesuffix(" gentrifugo.service") for line in lines]

    run("dpkg", "--install", packages[".deb"])
    assert told() == ["daemon-reload", "enable", "restart"]
    run("dpkg", "--install", upgraded(packages[".deb"], tmp_path))
    assert [line for line in told() if line != "daemon-reload"] == ["try-restart"]
    assert "ok installed" in run("dpkg-query", "--show", "--showformat=${Status}", "gentrifugo")
    run("dpkg", "--purge", "gentrifugo")
    assert told()[0] == "disable --now"


def upgraded(deb: Path, directory: Path) -> Path:
    """Build the same package with a later version."""
    root, later = directory / "root", directory / "later.deb"
    run("dpkg-deb", "--raw-extract", deb, root)
    control = root / "DEBIAN" / "control"
    control.write_text(re.sub(r"Version: (.*)", r"Version: \1+later", control.read_text()))
    run("dpkg-deb", "--root-owner-group", "-Znone", "--build", root, later)
    return later


def test_packages_contain_no_build_path(packages: dict[str, Path], tmp_path: Path) -> None:
    run("dpkg-deb", "--extract", packages[".deb"], tmp_path)
    found = subprocess.run(["grep", "-rl", str(ROOT / "build"), str(tmp_path)], capture_output=True, text=True)
    assert found.stdout == ""


def test_the_rpm_has_the_same_files(packages: dict[str, Path]) -> None:
    rpm = set(run("rpm", "--query", "--package", "--list", packages[".rpm"]).split())
    deb = {line.split()[5].removeprefix(".") for line in run("dpkg-deb", "--contents", packages[".deb"]).splitlines()}
    programs = {path for path in rpm if path.startswith("/opt/gentrifugo/bin/")}
    assert programs == {path for path in deb if re.match("/opt/gentrifugo/bin/.", path)}
    for name in ("/usr/lib/systemd/system/gentrifugo.service", "/etc/logrotate.d/gentrifugo", "/usr/bin/gentrifugo"):
        assert name in rpm
        assert name in deb
    scripts = run("rpm", "--query", "--package", "--scripts", packages[".rpm"])
    assert "genconfig --config=/etc/gentrifugo/config.json" in scripts
    assert "systemctl disable --now" in scripts
