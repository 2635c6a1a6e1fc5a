"""Behaviour of variables that name the file of a secret, such as CENTRIFUGO_SECRET_FILE."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gentrifugo.app.config.config import Config
from gentrifugo.app.config.loading import load, reload
from gentrifugo.app.config.options import ConfigError, options_of
from gentrifugo.app.config.secret_variables import MAX_SIZE

SECRET = "secret-of-a-test-in-a-file"


@pytest.fixture
def secret_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a secret; the current directory has no configuration file."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n")
    return path


def problems(environ: dict[str, str]) -> list[str]:
    """Return the problems of a configuration from the environment alone."""
    with pytest.raises(ConfigError) as caught:
        load([], environ)
    return caught.value.problems


def test_every_secret_option_can_come_from_a_file(secret_file: Path) -> None:
    secret_names = [option.name for option in options_of(Config) if option.facts.secret]
    assert {"secret", "token_hmac_secret_key", "api_key", "redis_password", "admin_password"} <= {*secret_names}
    for name in secret_names:
        url = "redis://:password@localhost:6379" if name == "redis_url" else f"{name}-of-this-test"
        secret_file.write_text(url + "\n")
        keys = {} if name == "secret" else {"CENTRIFUGO_SECRET": SECRET}
        loaded = load([], {**keys, f"CENTRIFUGO_{name.upper()}_FILE": str(secret_file)})
        assert getattr(loaded.config, name) == url
        assert not [warning for warning in loaded.warnings if "_FILE" in warning]


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n"])
def test_line_breaks_at_the_end_do_not_belong_to_the_secret(secret_file: Path, ending: str) -> None:
    secret_file.write_bytes(f" {SECRET} {ending}".encode())
    assert load([], {"CENTRIFUGO_SECRET_FILE": str(secret_file)}).config.secret == f" {SECRET} "


def test_flags_override_the_file_of_a_secret(secret_file: Path) -> None:
    environ = {"CENTRIFUGO_SECRET_FILE": str(secret_file)}
    assert load(["--secret=secret-of-the-flag"], environ).config.secret == "secret-of-the-flag"


def test_reload_reads_the_file_again(secret_file: Path) -> None:
    environ = {"CENTRIFUGO_SECRET_FILE": str(secret_file)}
    config = load([], environ).config
    secret_file.write_text("rotated-secret-of-a-test")
    assert reload(config, [], environ).config.secret == "rotated-secret-of-a-test"


def test_page_lists_the_options_that_have_such_a_variable() -> None:
    page = (Path(__file__).parents[3] / "docs/configuration.md").read_text()
    paragraph = page[page.index("**A secret**") :].partition("\n\n")[0]
    names = [option.name for option in options_of(Config) if option.facts.secret]
    assert [name for name in names if f"`{name}`" not in paragraph] == []


def test_empty_variable_counts_as_not_set(secret_file: Path) -> None:
    environ = {"CENTRIFUGO_SECRET": SECRET, "CENTRIFUGO_SECRET_FILE": ""}
    assert load([], environ).config.secret == SECRET


def test_value_and_file_together_are_refused(secret_file: Path) -> None:
    environ = {"CENTRIFUGO_SECRET": SECRET, "CENTRIFUGO_SECRET_FILE": str(secret_file)}
    assert problems(environ) == ["CENTRIFUGO_SECRET_FILE: CENTRIFUGO_SECRET is set, too; remove one of them"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"x" * (MAX_SIZE + 1), "has more than 65,536 bytes, and is not a secret"),
    ],
)
def test_file_without_a_secret_is_the_only_problem(secret_file: Path, content: bytes, why: str) -> None:
    secret_file.write_bytes(content)
    environ = {"CENTRIFUGO_SECRET_FILE": str(secret_file)}
    assert problems(environ) == [f"CENTRIFUGO_SECRET_FILE: {secret_file} {why}"]


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("missing", "cannot read missing: No such file or directory"),
        (".", "cannot read .: Is a directory"),
    ],
)
def test_file_that_cannot_be_read_is_the_only_problem(secret_file: Path, path: str, why: str) -> None:
    assert problems({"CENTRIFUGO_SECRET_FILE": path}) == [f"CENTRIFUGO_SECRET_FILE: {why}"]


NOT_REGULAR = "is not a regular file; it is read again at each reload"


def test_named_pipe_is_refused_without_waiting_for_its_writer(secret_file: Path) -> None:
    pipe = secret_file.with_name("pipe")
    os.mkfifo(pipe)
    link = secret_file.with_name("link")
    link.symlink_to(pipe)
    for path in (pipe, link):
        assert problems({"CENTRIFUGO_SECRET_FILE": str(path)}) == [f"CENTRIFUGO_SECRET_FILE: {path} {NOT_REGULAR}"]


def test_pipe_of_a_process_substitution_is_refused(secret_file: Path) -> None:
    reader, writer = os.pipe()
    try:
        os.write(writer, SECRET.encode())
        path = f"/dev/fd/{reader}"
        assert problems({"CENTRIFUGO_SECRET_FILE": path}) == [f"CENTRIFUGO_SECRET_FILE: {path} {NOT_REGULAR}"]
    finally:
        os.close(reader)
        os.close(writer)


def test_link_to_a_file_is_followed(secret_file: Path) -> None:
    link = secret_file.with_name("link")
    link.symlink_to(secret_file)
    assert load([], {"CENTRIFUGO_SECRET_FILE": str(link)}).config.secret == SECRET


def test_problem_of_the_value_names_the_variable_with_the_file(secret_file: Path) -> None:
    environ = {"CENTRIFUGO_SECRET": SECRET, "CENTRIFUGO_TOKEN_HMAC_SECRET_KEY_FILE": str(secret_file)}
    assert problems(environ) == ["CENTRIFUGO_TOKEN_HMAC_SECRET_KEY_FILE: must differ from secret"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("PORT_FILE", "; only secrets can come from a file, so use CENTRIFUGO_PORT"),
        ("SSL_CERT_FILE", "; only secrets can come from a file, so use CENTRIFUGO_SSL_CERT"),
        ("HTTP_SERVER_TLS_CERT_PEM_FILE", "; use CENTRIFUGO_SSL_CERT instead"),
        ("NAMESPACES_FILE", "; option namespaces can be set only in the configuration file"),
        ("REDIS_ADDRESS_FILE", "; use CENTRIFUGO_REDIS_URL_FILE instead"),
        ("ENGINE_REDIS_ADDRESS_FILE", "; use CENTRIFUGO_REDIS_URL_FILE instead"),
        ("CLIENT_TOKEN_HMAC_SECRET_KEY_FILE", "; use CENTRIFUGO_TOKEN_HMAC_SECRET_KEY_FILE instead"),
        ("HTTP_API_KEY_FILE", "; use CENTRIFUGO_API_KEY_FILE instead"),
        ("REDIS_PASWORD_FILE", "; did you mean CENTRIFUGO_REDIS_PASSWORD_FILE?"),
        ("ADMIN_PASSWORD_FIEL", "; did you mean CENTRIFUGO_ADMIN_PASSWORD_FILE?"),
        ("CLIENT_SECRET_FILE", ""),
        ("INSECURE_FILE", ""),
        ("SOMETHING_ELSE_FILE", ""),
    ],
)
def test_other_variables_with_this_ending_are_explained(secret_file: Path, name: str, hint: str) -> None:
    environ = {"CENTRIFUGO_SECRET": SECRET, f"CENTRIFUGO_{name}": str(secret_file)}
    warnings = [warning for warning in load([], environ).warnings if warning.startswith("CENTRIFUGO_")]
    assert warnings == [f"CENTRIFUGO_{name}: unknown option{hint}"]


def test_prefix_of_an_application_is_explained_with_this_ending_too(secret_file: Path) -> None:
    environ = {"CENTRIFUGO_SECRET": SECRET, "GENTRIFUGO_SECRET_FILE": str(secret_file)}
    explained = "GENTRIFUGO_SECRET_FILE: not used; the variable of this option is CENTRIFUGO_SECRET_FILE"
    assert explained in load([], environ).warnings
