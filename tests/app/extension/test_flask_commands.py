"""Behaviour of the commands that the extension adds to `flask`, in an application of the test's own process."""

from __future__ import annotations

import pytest

from gentrifugo import Gentrifugo
from tests.flask_sites import site


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("hello", """Invalid value for DATA: Expecting value: line 1 column 1 (char 0); strings need quotes in JSON"""),
        ('"hello"', "Error: the memory engine cannot reach a server in another process"),
    ],
    ids=["no JSON", "the memory engine"],
)
def test_a_publish_that_cannot_work_is_refused_with_the_reason(data: str, says: str) -> None:
    app = site()
    Gentrifugo(app)
    result = app.test_cli_runner().invoke(args=["realtime", "publish", "news", data])
    assert result.exit_code != 0
    assert says in result.output
