"""`gentrifugo doctor` on this machine, with real ports, files, Redis servers and Sentinels."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gentrifugo.app.process.doctor import invalid_configuration_line
from gentrifugo.engines.redis.permissions import acl_rules
from tests.acme_server import pebble
from tests.certificates import Certificate, make_certificate, self_signed
from tests.redis_server import RedisServer, free_port, redis_server
from tests.waiting import seconds

PROGRAM = str(Path(sys.executable).parent / "gentrifugo")


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


def doctor(directory: Path, limit: int = 0, **options: Any) -> tuple[int, list[str]]:
    """Run the doctor, and return its exit status and its lines."""
    config = directory / "config.json"
    config.write_text(json.dumps({"secret": "secret", "port": free_port(), **options}), encoding="utf-8")

    def lower() -> None:
        if limit:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    environment = {name: value for name, value in os.environ.items() if not name.startswith("CENTRIFUGO_")}
    done = subprocess.run(
        [PROGRAM, "doctor", f"--config={config}"],
        capture_output=True,
        text=True,
        timeout=seconds(30),
        preexec_fn=lower,
        env=environment,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def about(lines: list[str], subject: str) -> str:
    (line,) = [line for line in lines if subject in line]
    return line


def test_valid_configuration_has_no_problems(tmp_path: Path) -> None:
    status, lines = doctor(tmp_path)
    assert status == 0
    assert about(lines, "configuration:") == f"ok       configuration: {tmp_path / 'config.json'}"
    assert about(lines, "port").startswith("ok       port ")
    assert lines[-1].startswith("doctor: no problems")


def test_an_invalid_configuration_is_reported_as_at_a_start(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"port": "many"}', encoding="utf-8")
    done = subprocess.run(
        [PROGRAM, "doctor", f"--config={config}"], capture_output=True, text=True, timeout=seconds(20)
    )
    assert (done.returncode, done.stdout) == (1, f"{invalid_configuration_line(2, 0)}\n")
    assert 'port: Must be an integer; the value is "many".' in done.stderr
    assert "secret: not set" in done.stderr


def test_warnings_of_the_configuration_are_reported(tmp_path: Path) -> None:
    status, lines = doctor(tmp_path, insecure_api=True)
    assert status == 0
    assert about(lines, "insecure_api").startswith("warning  option insecure_api is on")
    warnings = sum(line.startswith("warning ") for line in lines)
    assert lines[-1] == f"doctor: no problems, {warnings} warning{'s' if warnings > 1 else ''}"


def test_a_server_that_refuses_all_backends_is_reported(tmp_path: Path) -> None:
    status, lines = doctor(tmp_path, secret="", token_hmac_secret_key="secret-of-a-test")
    assert status == 0
    assert about(lines, "api_key").startswith("warning  options api_key and secret are not set, so no backend can use")


def test_low_limit_of_open_files_is_reported(tmp_path: Path) -> None:
    status, lines = doctor(tmp_path, limit=1000)
    assert status == 0
    assert about(lines, "limit of open files") == (
        "warning  limit of open files: 1,000, enough for about 936 connections; "
        "only root can raise it: LimitNOFILE=65536 in the systemd unit, nofile in /etc/security/limits.conf before a "
        "new login, or --ulimit nofile=65536 of Docker"
    )


def test_port_in_use_is_reported(tmp_path: Path) -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        _, lines = doctor(tmp_path, port=port, admin_port=str(free_port()))
    assert about(lines, f"port {port}") == (
        f"warning  port {port}: in use; expected while the server runs, otherwise choose another with option port"
    )
    assert about(lines, "admin_port").endswith("free")


def test_address_of_another_machine_is_reported(tmp_path: Path) -> None:
    status, lines = doctor(tmp_path, address="192.0.2.1")
    assert status == 1
    assert about(lines, "port").endswith("choose another with option address")


def test_files_that_cannot_be_written_are_reported(tmp_path: Path) -> None:
    status, lines = doctor(tmp_path, log_file=str(tmp_path / "log"), pid_file=str(tmp_path / "nowhere" / "pid"))
    assert status == 1
    assert about(lines, "log_file").startswith("ok ")
    assert about(lines, "pid_file") == (
        f"problem  pid_file: {tmp_path}/nowhere/pid is not writable; create the directory {tmp_path}/nowhere"
    )


def test_unix_socket_is_checked(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "socket"))
    status, lines = doctor(tmp_path, port=0, unix_socket=str(tmp_path / "socket"))
    assert status == 0
    assert about(lines, "unix_socket:") == f"ok       unix_socket: {tmp_path}/socket is writable"
    assert not [line for line in lines if " port " in line]


def test_reachable_redis_is_ok(tmp_path: Path, redis: RedisServer) -> None:
    status, lines = doctor(tmp_path, **redis.options)
    assert status == 0
    assert [line[:8] for line in lines if "Redis" in line] == ["ok      "] * 2
    assert "reachable" in about(lines, "version")


def test_an_unreachable_or_refusing_redis_is_a_problem(tmp_path: Path) -> None:
    status, lines = doctor(tmp_path, engine="redis", redis_port=str(free_port()))
    assert status == 1
    assert about(lines, "Redis").startswith("problem  Redis 127.0.0.1:")
    assert about(lines, "Redis").endswith("start it, or check redis_host and redis_port")
    with redis_server(tmp_path, "--requirepass", "right") as locked:
        status, lines = doctor(tmp_path, engine="redis", redis_port=str(locked.port), redis_password="wrong")
    assert status == 1
    assert about(lines, "Redis").endswith("check redis_password, or the user in redis_url")
    assert "wrong;" not in about(lines, "Redis")


@pytest.mark.parametrize(
    ("taken", "lack"),
    [
        ([], ""),
        (["-info"], "the command INFO"),
        (["-publish", "-hset"], "the command PUBLISH, the command HSET"),
        (["-script"], "the command SCRIPT"),
        (["-subscribe"], "the command SUBSCRIBE"),
        (["resetkeys"], "access to keys that begin with redis_prefix"),
        (["resetchannels"], "access to channels that begin with redis_prefix"),
    ],
)
def test_missing_permissions_of_the_redis_user_are_reported(
    tmp_path: Path, redis: RedisServer, taken: list[str], lack: str
) -> None:
    redis.ask("ACL", "SETUSER", "ann", "reset", "on", ">secret", *acl_rules("centrifugo").split(), *taken)
    status, lines = doctor(tmp_path, engine="redis", redis_url=f"redis://ann:secret@127.0.0.1:{redis.port}")
    assert status == (1 if lack else 0)
    if lack:
        assert f"the Redis user lacks permissions: {lack}" in about(lines, "Redis")
        assert about(lines, "Redis").endswith("give it the ACL rules in docs/redis.md")
    assert redis.ask("KEYS", "centrifugo.doctor") in ([], [b"centrifugo.doctor"])  # without DEL it expires by itself


def test_a_user_who_may_not_select_the_database_lacks_one_command(tmp_path: Path, redis: RedisServer) -> None:
    redis.ask("ACL", "SETUSER", "ben", "reset", "on", ">secret", *acl_rules("centrifugo").split())
    status, lines = doctor(tmp_path, engine="redis", redis_url=f"redis://ben:secret@127.0.0.1:{redis.port}/1")
    assert status == 1
    assert about(lines, "Redis").endswith(
        "the Redis user lacks permissions: the command SELECT; give it the ACL rules in docs/redis.md, and +select, "
        "which a database other than 0 needs"
    )


@pytest.fixture(scope="module")
def tls_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Certificate]]:
    """The TLS port of a Redis server, and its certificate."""
    directory = tmp_path_factory.mktemp("tls")
    certificate, port = make_certificate(directory), free_port()
    files = ("--tls-cert-file", str(certificate.cert), "--tls-key-file", str(certificate.key))
    with redis_server(directory, "--tls-port", str(port), *files, "--tls-auth-clients", "no"):
        yield port, certificate


def test_an_unknown_certificate_of_redis_is_reported(tmp_path: Path, tls_redis: tuple[int, Certificate]) -> None:
    port, certificate = tls_redis
    status, lines = doctor(tmp_path, engine="redis", redis_url=f"rediss://127.0.0.1:{port}")
    assert status == 1
    assert about(lines, "Redis").endswith(
        "name the file with its CA in redis_url, as in rediss://HOST:PORT?ssl_ca_certs=/path/to/ca.pem"
    )
    url = f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate.cert}"
    assert doctor(tmp_path, engine="redis", redis_url=url)[0] == 0


def test_a_redis_port_that_requires_tls_is_reported(tmp_path: Path, tls_redis: tuple[int, Certificate]) -> None:
    status, lines = doctor(tmp_path, engine="redis", redis_url=f"redis://127.0.0.1:{tls_redis[0]}")
    assert status == 1
    assert about(lines, "Redis").endswith("if this port is for TLS, write rediss:// in redis_url")


@pytest.mark.parametrize("arguments", [(), ("--requirepass", "secret-of-a-test")], ids=["open", "with a password"])
def test_a_redis_port_without_tls_is_reported(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with redis_server(tmp_path, *arguments) as plain:
        url = f"rediss://:another-secret@127.0.0.1:{plain.port}"
        status, lines = doctor(tmp_path, engine="redis", redis_url=url, redis_connect_timeout=0.3)
    assert status == 1
    assert about(lines, "Redis").endswith("the server answers without TLS; write redis:// in redis_url")


def test_no_secret_is_sent_without_tls(tmp_path: Path) -> None:
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        reader = threading.Thread(target=read_connections, args=(listener, received), daemon=True)
        reader.start()
        url = f"rediss://user:secret-of-a-test@127.0.0.1:{port}/1"
        assert doctor(tmp_path, engine="redis", redis_url=url, redis_connect_timeout=0.3)[0] == 1
        listener.shutdown(socket.SHUT_RDWR)
        reader.join(10)
    assert len(received) >= 2
    assert not [data for data in received if b"secret" in data or b"SELECT" in data]


def read_connections(listener: socket.socket, received: list[bytes]) -> None:
    """Append the data of all connections to `received`, without a response, until the listener is closed."""
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection, suppress(OSError):  # the peer may reset it
                connection.settimeout(10)
                while data := connection.recv(65536):
                    received.append(data)


def test_a_replica_and_an_evicting_server_are_reported(tmp_path: Path, redis: RedisServer) -> None:
    master = ("--replicaof", f"127.0.0.1 {redis.port}")
    with redis_server(tmp_path, *master, "--maxmemory-policy", "allkeys-lru") as replica:
        status, lines = doctor(tmp_path, engine="redis", redis_port=str(replica.port))
    assert status == 1
    assert about(lines, "is a read-only replica").endswith("use the address of its master, or Sentinel")
    assert about(lines, "allkeys-lru").startswith("warning ")


def test_an_unreachable_sentinel_is_a_problem(tmp_path: Path) -> None:
    status, lines = doctor(
        tmp_path, engine="redis", redis_master_name="mymaster", redis_sentinels=f"127.0.0.1:{free_port()}"
    )
    assert status == 1
    assert about(lines, "Sentinel 127").endswith("start it, or check redis_sentinels")
    assert about(lines, "Redis master") == (
        "problem  Redis master mymaster: No master found for 'mymaster'; "
        "check the Sentinels and the master that they monitor"
    )


def test_server_logs_its_limits_at_startup(start_server: Callable[..., Any]) -> None:
    log = start_server(log_level="debug").log
    assert "open files: " in log


class TestCertificates:
    def test_a_valid_certificate_is_ok(self, tmp_path: Path) -> None:
        certificate = make_certificate(tmp_path, days=30)
        status, lines = doctor(tmp_path, **certificate.options)
        assert status == 0
        assert about(lines, "ssl_cert") == f"ok       ssl_cert: {certificate.cert} is valid for 29 more days"

    def test_a_certificate_that_expires_soon_is_a_warning(self, tmp_path: Path) -> None:
        certificate = make_certificate(tmp_path, days=3)
        status, lines = doctor(tmp_path, **certificate.options)
        line = f"warning  ssl_cert: {certificate.cert} is valid for 2 more days; renew it, then reload with SIGHUP"
        assert (status, about(lines, "ssl_cert")) == (0, line)

    def test_an_expired_certificate_is_a_problem(self, tmp_path: Path) -> None:
        file = tmp_path / "old.pem"
        file.write_bytes(self_signed(days_left=-1))
        status, lines = doctor(tmp_path, ssl=True, ssl_cert=str(file), ssl_key=str(file))
        line = f"problem  ssl_cert: {file} has expired; renew it, then reload with SIGHUP"
        assert (status, about(lines, "ssl_cert")) == (1, line)

    def test_a_file_without_a_certificate_is_an_error(self, tmp_path: Path) -> None:
        certificate = make_certificate(tmp_path)
        certificate.cert.write_text("garbage")
        status, lines = doctor(tmp_path, **certificate.options)
        assert status == 1
        assert about(lines, "ssl_cert") == f"problem  ssl_cert: {certificate.cert} contains no certificate in PEM"

    def test_missing_certificate_is_a_problem(self, tmp_path: Path) -> None:
        status, lines = doctor(tmp_path, ssl=True, ssl_cert=str(tmp_path / "missing.pem"))
        assert status == 1
        assert about(lines, "ssl_cert").startswith(f"problem  ssl_cert: cannot read {tmp_path}/missing.pem: ")
        assert about(lines, "ssl_key").startswith("problem  ssl_key: required because ssl is on; ")

    def test_an_unreachable_acme_server_is_a_problem(self, tmp_path: Path) -> None:
        url = f"https://127.0.0.1:{free_port()}/dir"
        options: dict[str, Any] = {"ssl_autocert": True, "ssl_autocert_directory": url}
        http: dict[str, Any] = {"ssl_autocert_http": True, "ssl_autocert_http_addr": f"127.0.0.1:{free_port()}"}
        status, lines = doctor(tmp_path, ssl_autocert_host_whitelist="a.example.com", **options, **http)
        assert status == 1
        assert about(lines, "ssl_autocert_directory").startswith(
            f"problem  ssl_autocert_directory: {url} is not reachable"
        )
        assert about(lines, "ssl_autocert_http_addr").startswith("ok ")

    def test_reachable_acme_server_is_ok(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pebble(tmp_path) as acme:
            acme.start()
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(acme.trusted))
            options: dict[str, Any] = {
                "ssl_autocert_host_whitelist": "a.example.com",
                "ssl_autocert_directory": acme.url,
            }
            _, lines = doctor(tmp_path, ssl_autocert=True, **options)
        assert about(lines, "ssl_autocert_directory") == f"ok       ssl_autocert_directory: {acme.url} is reachable"
