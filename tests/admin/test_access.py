"""Behaviour of passwords and tokens, with a fake clock."""

from __future__ import annotations

import dataclasses
import time

import pytest
from itsdangerous import URLSafeTimedSerializer

from gentrifugo.admin import access as access_module
from gentrifugo.admin.access import (
    FAILURES_WITHOUT_DELAY,
    INSECURE_TOKEN,
    MAX_ADDRESSES,
    MAX_LOGGED_ADDRESSES,
    MAX_LOGIN_DELAY,
    Access,
    LoginThrottle,
)
from gentrifugo.app.config.config import Config
from gentrifugo.app.http.head import HTTPError
from tests.contents import contents
from tests.fakes import FakeClock

CONFIG = Config(secret="secret", admin_password="open sesame", admin_secret="admin secret")
HERE = "192.0.2.1"


class AccessUnderTest:
    """An Access whose configuration and clock the test can change."""

    def __init__(self) -> None:
        self.config = CONFIG
        self.clock = FakeClock()
        self.throttle = LoginThrottle(self.clock)
        self.access = Access(lambda: self.config, self.throttle)

    def configure(self, **options: object) -> None:
        self.config = dataclasses.replace(self.config, **options)  # type: ignore[arg-type]

    def log_in(self, password: str = "open sesame", address: str = HERE) -> str:
        return self.access.log_in(address, password)

    def status(self, password: str = "wrong", address: str = HERE) -> int:
        """The status with which a password is refused."""
        with pytest.raises(HTTPError) as refused:
            self.log_in(password, address)
        return refused.value.status


@pytest.fixture
def door() -> AccessUnderTest:
    return AccessUnderTest()


class TestTokens:
    def test_right_password_gives_a_valid_token(self, door: AccessUnderTest) -> None:
        assert door.access.remaining(door.log_in()) == pytest.approx(CONFIG.admin_token_lifetime, abs=2)

    @pytest.mark.parametrize("password", ["", "open sesam", "open sesame ", "Open sesame", "ä\udcff", "x" * 100_000])
    def test_wrong_passwords_give_no_token(self, door: AccessUnderTest, password: str) -> None:
        assert door.status(password) == 400

    def test_password_may_have_any_characters(self, door: AccessUnderTest) -> None:
        door.configure(admin_password="Sésam")
        assert door.access.remaining(door.log_in("Sésam")) is not None
        assert [door.status(password) for password in ("Sesam", "Sèsam", "")] == [400, 400, 400]

    def test_login_is_refused_without_a_configured_password_or_secret(self, door: AccessUnderTest) -> None:
        token = door.log_in()
        for missing in ("admin_password", "admin_secret"):
            door.config = CONFIG
            door.configure(**{missing: ""})
            assert door.status("") == 400
            assert door.access.remaining(token) is None

    def test_a_token_expires(self, door: AccessUnderTest) -> None:
        token = door.log_in()
        door.configure(admin_token_lifetime=1)
        assert door.access.remaining(token)
        time.sleep(2.1)  # tokens know whole seconds
        assert door.access.remaining(token) is None

    @pytest.mark.parametrize("option", ["admin_password", "admin_secret"])
    def test_a_new_password_or_secret_ends_all_tokens(self, door: AccessUnderTest, option: str) -> None:
        token = door.log_in()
        door.configure(**{option: "another"})
        assert door.access.remaining(token) is None

    def test_forged_tokens_are_invalid(self, door: AccessUnderTest) -> None:
        token = door.log_in()
        payload, stamp, sign = token.split(".")
        other = URLSafeTimedSerializer("admin secret", salt="gentrifugo admin").dumps("admin")
        forged = ["", "insecure", "..", "\udcff", "a" * 10_000, other, f"{payload}.{stamp}.", f"{payload}..{sign}"]
        forged += [f"{payload}.zzzzzz.{sign}", f"{payload}.{stamp}.{sign[::-1]}"]
        # The last character of a base64 text may carry bits that count for nothing.
        forged += [token[:i] + ("A" if token[i] != "A" else "B") + token[i + 1 :] for i in range(len(token) - 1)]
        assert [text for text in forged if door.access.remaining(text) is not None] == []

    def test_insecure_admin_accepts_every_password_and_token(self, door: AccessUnderTest) -> None:
        door.configure(insecure_admin=True, admin_password="", admin_secret="")
        assert door.log_in("") == INSECURE_TOKEN
        assert door.access.remaining("whatever")


class TestLoginThrottle:
    def test_first_wrong_passwords_cause_no_delay(self, door: AccessUnderTest) -> None:
        assert [door.status() for _ in range(FAILURES_WITHOUT_DELAY)] == [400] * FAILURES_WITHOUT_DELAY

    def test_empty_password_is_not_counted_as_failed_login(self, door: AccessUnderTest) -> None:
        assert [door.status("") for _ in range(3 * FAILURES_WITHOUT_DELAY)] == [400] * 3 * FAILURES_WITHOUT_DELAY
        assert door.log_in()

    def test_delay_grows_with_each_wrong_password(self, door: AccessUnderTest) -> None:
        for _ in range(FAILURES_WITHOUT_DELAY):
            door.status()
        waits = []
        for _ in range(8):
            waits.append(door.throttle.wait(HERE))
            door.clock.advance(waits[-1])
            assert door.status() == 400
        assert waits == [1, 2, 4, 8, 16, 32, MAX_LOGIN_DELAY, MAX_LOGIN_DELAY]

    def test_right_password_is_delayed_too(self, door: AccessUnderTest) -> None:
        for _ in range(FAILURES_WITHOUT_DELAY):
            door.status()
        assert door.status("open sesame") == 429
        door.clock.advance(1)
        assert door.log_in()

    def test_right_password_resets_the_delay(self, door: AccessUnderTest) -> None:
        for _ in range(3):
            for _ in range(FAILURES_WITHOUT_DELAY - 1):
                door.status()
            assert door.log_in()
        assert contents(door.throttle, door.clock) == []

    def test_delay_applies_only_to_the_address_of_the_failures(self, door: AccessUnderTest) -> None:
        for _ in range(FAILURES_WITHOUT_DELAY):
            door.status()
        assert door.log_in(address="192.0.2.2")

    @pytest.mark.parametrize(
        ("one", "other", "same"),
        [
            ("2001:db8::1", "2001:db8::ffff:1", True),
            ("2001:db8::1", "2001:db8:0:1::1", False),
            ("::ffff:192.0.2.1", "192.0.2.1", True),
            ("", "", True),
        ],
    )
    def test_delay_applies_to_all_addresses_of_one_ipv6_network(
        self, door: AccessUnderTest, one: str, other: str, same: bool
    ) -> None:
        for _ in range(FAILURES_WITHOUT_DELAY):
            door.status(address=one)
        assert (door.throttle.wait(other) > 0) == same

    def test_ten_thousand_attempts_in_an_hour_are_mostly_refused(self, door: AccessUnderTest) -> None:
        looked_at = 0
        for _ in range(10_000):
            looked_at += door.status() == 400
            door.clock.advance(0.36)
        assert looked_at < FAILURES_WITHOUT_DELAY + 6 + 3600 / MAX_LOGIN_DELAY + 2

    def test_number_of_remembered_addresses_is_limited(
        self, door: AccessUnderTest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(access_module, "MAX_ADDRESSES", 100)
        for number in range(1000):
            door.throttle.add_wrong(f"10.0.{number // 256}.{number % 256}")
        assert len(contents(door.throttle, door.clock)) <= 100 * 4
        assert MAX_ADDRESSES == 10_000

    def test_failures_of_an_address_expire(self, door: AccessUnderTest) -> None:
        for _ in range(FAILURES_WITHOUT_DELAY):
            door.status()
        door.clock.advance(2 * 3600)
        assert [door.status() for _ in range(FAILURES_WITHOUT_DELAY)] == [400] * FAILURES_WITHOUT_DELAY


class TestLog:
    @pytest.mark.parametrize(
        ("address", "name"), [(HERE, HERE), ("2001:db8::1", "2001:db8::1"), ("", "a local socket")]
    )
    def test_wrong_password_is_logged_with_the_address(
        self, door: AccessUnderTest, caplog: pytest.LogCaptureFixture, address: str, name: str
    ) -> None:
        door.status("tiger", address)
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        assert record.getMessage() == f"admin login from {name} refused: wrong password"

    def test_several_wrong_passwords_of_one_address_are_logged_once(
        self, door: AccessUnderTest, caplog: pytest.LogCaptureFixture
    ) -> None:
        for address in ("2001:db8::1", "2001:db8::2", HERE, f"::ffff:{HERE}"):
            door.status(address=address)
        assert len(caplog.records) == 2

    def test_crowds_of_addresses_cannot_flood_the_log(
        self, door: AccessUnderTest, caplog: pytest.LogCaptureFixture
    ) -> None:
        for number in range(MAX_LOGGED_ADDRESSES + 5):
            door.status(address=f"192.0.2.{number}")
        assert len(caplog.records) == MAX_LOGGED_ADDRESSES

    def test_empty_password_is_not_logged(self, door: AccessUnderTest, caplog: pytest.LogCaptureFixture) -> None:
        door.status("")
        assert caplog.records == []
