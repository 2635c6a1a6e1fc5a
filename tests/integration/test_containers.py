"""The definitions of containers, checked without running them: files, options, health check and user."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from gentrifugo.app.config.config import Config
from gentrifugo.app.config.loading import load
from tests.integration.test_proxies import OPERATORS_OPTIONS, Through, check_that_only_clients_pass, nginx_of
from tests.nginx_server import proxy
from tests.parts import ROOT
from tests.protocol_client import ProtocolClient
from tests.redis_server import free_port, redis_server
from tests.servers import Server
from tests.waiting import eventually, seconds

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
NODES = ("node1", "node2", "node3")


def instructions(name: str) -> list[str]:
    """The arguments of each instruction of this name, in order."""
    return re.findall(rf"^(?:{name}) (.*)", DOCKERFILE.replace("\\\n   ", ""), re.MULTILINE)


def test_copied_files_exist_and_are_not_ignored() -> None:
    allowed = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    for arguments in instructions("COPY"):
        *sources, _ = arguments.split()
        if sources[0].startswith("--from"):
            continue
        for source in sources:
            assert (ROOT / source).exists(), source
            assert {source, source.partition("/")[0]} & allowed, source


def test_copied_files_suffice_to_build_the_package(tmp_path: Path) -> None:
    """The build has only the files that are copied before the package is installed."""
    library = ROOT / "admin" / "web" / "vendor"
    if not library.is_dir():
        pytest.skip("the libraries of the web interface are not there: make install puts them there")
    (tmp_path / "source").mkdir()
    for arguments in instructions("COPY"):
        *sources, target = arguments.split()
        if not arguments.startswith("--from"):
            for source in sources:
                copy(ROOT / source, tmp_path / "source" / target)
    words = (
        "wheel",
        "--no-index",
        "--no-deps",
        "--no-build-isolation",
        "--no-cache-dir",
        "--wheel-dir",
        "out",
        "./source",
    )
    command = [sys.executable, "-m", "pip", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=seconds(50))
    assert done.returncode == 0, done.stdout + done.stderr


def copy(source: Path, target: Path) -> None:
    """Copy as COPY does: a file into a directory, and the contents of a directory."""
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def test_pip_installs_only_what_has_a_hash() -> None:
    commands = [command for text in instructions("RUN") for command in text.split(" && ") if "pip install" in command]
    assert len(commands) == 2
    for command in commands:
        assert {"--require-hashes", "--only-binary"} <= set(command.split()) or "--no-index" in command


def test_base_images_have_no_floating_versions() -> None:
    """Each names a version, or the stable line of its project; a digest may follow."""
    images = [text.split()[0] for text in instructions("FROM")]
    images += [service["image"] for service in COMPOSE["services"].values() if "image" in service]
    assert len(images) == 5
    for image in images:
        assert re.fullmatch(r"[a-z]+:(\d+(\.\d+)*|stable)(-[a-z]+)+(@sha256:[0-9a-f]{64})?", image), image


def test_container_does_not_run_as_root() -> None:
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER 10001$", last_stage, re.MULTILINE)
    assert "--uid 10001" in last_stage


def test_container_starts_from_the_environment_and_its_health_check_works(tmp_path: Path) -> None:
    (entry,) = map(json.loads, instructions("ENTRYPOINT"))
    (check,) = (json.loads(text.partition("CMD ")[2]) for text in instructions("HEALTHCHECK"))
    port = free_port()
    environment = {**os.environ, "CENTRIFUGO_SECRET": "secret", "CENTRIFUGO_PORT": str(port)}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    process = subprocess.Popen([*entry, "--address=127.0.0.1"], cwd=tmp_path, env=environment)
    try:
        eventually(lambda: healthy(check, environment), within=15, what="it is healthy")
    finally:
        process.terminate()
        assert process.wait(seconds(15)) == 0
    assert not healthy(check, environment)


def healthy(check: list[str], environment: dict[str, str]) -> bool:
    done = subprocess.run(check, env=environment, capture_output=True, timeout=seconds(10))
    return done.returncode == 0


@pytest.mark.parametrize("name", NODES)
def test_the_options_of_each_node_are_options(name: str, tmp_path: Path) -> None:
    environment = COMPOSE["services"][name]["environment"]
    given = {key: "secret-of-a-test" if key == "CENTRIFUGO_SECRET" else value for key, value in environment.items()}
    loaded = load([f"--config={tmp_path / 'config.json'}"], given)
    assert isinstance(loaded.config, Config)
    assert (loaded.config.engine, loaded.config.name, loaded.config.redis_host) == ("redis", name, "redis")
    assert [text for text in loaded.warnings if "not found" not in text] == []


def test_nodes_trust_only_the_proxy() -> None:
    (config,) = COMPOSE["networks"]["default"]["ipam"]["config"]
    address = COMPOSE["services"]["proxy"]["networks"]["default"]["ipv4_address"]
    assert ip_address(address) in ip_network(config["subnet"])
    for name in NODES:
        assert COMPOSE["services"][name]["environment"]["CENTRIFUGO_TRUSTED_PROXIES"] == address


def test_the_proxy_in_front_spreads_clients_over_the_nodes(tmp_path: Path, start_server: Callable[..., Server]) -> None:
    text = (ROOT / "conf" / "nginx-compose.conf").read_text()
    assert COMPOSE["services"]["proxy"]["volumes"] == ["./conf/nginx-compose.conf:/etc/nginx/nginx.conf:ro"]
    port = free_port()
    with redis_server(tmp_path) as redis:
        nodes = [start_server(health=True, **OPERATORS_OPTIONS, **redis.options) for _ in NODES]
        for name, node in zip(NODES, nodes, strict=True):
            assert f"server {name}:8000 max_fails=0;" in text
            text = text.replace(f"{name}:8000", f"127.0.0.1:{node.port}")
        text = text.replace("listen 80;", f"listen 127.0.0.1:{port};")
        with (
            proxy(nginx_of(text, tmp_path), port, tmp_path),
            ProtocolClient(Through(port, nodes[0]), "ann") as client,
        ):
            client.subscribe("news")
            check_that_only_clients_pass(port)
