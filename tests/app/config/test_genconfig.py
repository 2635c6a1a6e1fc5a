"""Behaviour of writing a first configuration file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gentrifugo.app.config.config import Config
from gentrifugo.app.config.genconfig import generate
from gentrifugo.app.config.loading import load
from gentrifugo.app.config.options import ConfigError


@pytest.mark.parametrize("name", ["c.json", "c.toml", "c.yaml", "c.yml", "c.JSON"])
def test_a_generated_file_loads_without_warnings(name: str, tmp_path: Path) -> None:
    generate(tmp_path / name)
    loaded = load([f"--config={tmp_path / name}"], {})
    assert loaded.warnings == []
    assert all(len(value) >= 22 for value in secrets_of(loaded.config))


def secrets_of(config: Config) -> list[str]:
    """The secrets in the file."""
    return [config.secret, config.token_hmac_secret_key, config.admin_password, config.admin_secret]


def test_all_generated_secrets_differ(tmp_path: Path) -> None:
    secrets: set[str] = set()
    for number in range(5):
        path = tmp_path / f"{number}.json"
        generate(path)
        secrets.update(secrets_of(load([f"--config={path}"], {}).config))
    assert len(secrets) == 20


def test_generated_file_is_readable_only_by_its_owner(tmp_path: Path) -> None:
    generate(tmp_path / "config.json")
    assert (tmp_path / "config.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("dangling", [False, True], ids=["file", "dangling link"])
def test_genconfig_overwrites_no_file(dangling: bool, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    if dangling:
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.write_text("mine")
    with pytest.raises(ConfigError, match=r"config\.json: file exists, not overwritten"):
        generate(path)
    assert not (tmp_path / "elsewhere").exists()
    assert dangling or path.read_text() == "mine"


def test_incompletely_written_file_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    program = (
        "import resource, signal, sys; from pathlib import Path; from gentrifugo.app.config import genconfig\n"
        "limit = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (10, limit[1]))\n"
        "try: genconfig.generate(Path(sys.argv[1]))\n"
        "except genconfig.ConfigError as error: print(*error.problems)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, limit)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{path}: cannot write file: File too large\n", done.stderr
    assert not path.exists()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("config.ini", "the name must end in .json"),
        ("none/config.json", "cannot write file: No such file or directory"),
    ],
)
def test_directory_without_write_permission_is_named(name: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{name}: {problem}"):
        generate(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
