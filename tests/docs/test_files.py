"""Every file for operators is used by a test for its purpose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.parts import ROOT

GIVEN = [
    # gunicorn compiles its settings.
    *(path for path in sorted((ROOT / "conf").rglob("*")) if path.is_file() and path.suffix != ".pyc"),
    *(ROOT / name for name in ("supervisord.conf", "Procfile", "Dockerfile", ".dockerignore", "compose.yaml")),
]


@dataclass(frozen=True)
class Use:
    """The test that uses a file, and how."""

    test: str
    how: str
    through: str = ""
    """What the test runs, when that names the file in its place."""


SUPERVISION = "tests/integration/test_supervision.py"
PROXIES = "tests/integration/test_proxies.py"
CONTAINERS = "tests/integration/test_containers.py"
_INTO_PACKAGES = Use(
    "tests/integration/test_system_packages.py",
    "builds both packages, installs the .deb, upgrades, removes and purges it",
    through="scripts/packages.sh",
)

USES = {
    "conf/config.json": Use("tests/app/test_cli.py", "checks it as `checkconfig` does"),
    "conf/config.toml": Use("tests/app/test_cli.py", "checks it as `checkconfig` does"),
    "conf/config.yaml": Use("tests/app/test_cli.py", "checks it as `checkconfig` does"),
    "conf/grafana-dashboard.json": Use("tests/admin/test_metrics.py", "finds each metric it shows in /metrics"),
    "conf/gunicorn.conf.py": Use("tests/gunicorn_server.py", "all tests under gunicorn start it with this"),
    "conf/haproxy.cfg": Use(PROXIES, "runs haproxy with it in front of two nodes"),
    "conf/logrotate": Use(SUPERVISION, "rotates the log of a running server with it"),
    "conf/nginx.conf": Use(PROXIES, "runs nginx with it, with real clients"),
    "conf/nginx-compose.conf": Use(CONTAINERS, "runs nginx with it, with the services on loopback"),
    "conf/nginx-location.conf": Use(PROXIES, "runs nginx with it, with real clients"),
    "conf/packages/control": _INTO_PACKAGES,
    "conf/packages/gentrifugo.spec": _INTO_PACKAGES,
    "conf/packages/postinst": _INTO_PACKAGES,
    "conf/packages/postrm": _INTO_PACKAGES,
    "conf/packages/prerm": _INTO_PACKAGES,
    "conf/prometheus-alerts.yaml": Use("tests/integration/test_alert_rules.py", "has promtool fire each alert"),
    "conf/systemd/gentrifugo.service": Use(SUPERVISION, "has systemd-analyze verify it"),
    "conf/systemd/gentrifugo.socket": Use(SUPERVISION, "has systemd-analyze verify it"),
    "supervisord.conf": Use("tests/supervisord.py", "runs supervisord with it"),
    "Procfile": Use(SUPERVISION, "starts what it says"),
    "Dockerfile": Use(CONTAINERS, "follows its steps without an engine for containers"),
    ".dockerignore": Use(CONTAINERS, "compares it with what the Dockerfile copies"),
    "compose.yaml": Use(CONTAINERS, "checks its services without an engine for containers"),
}


def test_every_file_is_used_by_a_test() -> None:
    assert sorted(USES) == sorted(str(path.relative_to(ROOT)) for path in GIVEN)


@pytest.mark.parametrize("file", USES)
def test_named_test_uses_the_file(file: str) -> None:
    use = USES[file]
    test = (ROOT / use.test).read_text(encoding="utf-8")
    names = (ROOT / use.through).read_text(encoding="utf-8") if use.through else test
    assert Path(file).name in names
    if use.through:
        target = Path(use.through).stem
        assert use.through in (ROOT / "Makefile").read_text(encoding="utf-8")
        assert f'"make", "{target}"' in test
