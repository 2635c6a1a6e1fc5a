"""Behaviour of the look at WebSocket handshakes of clients for later versions of Centrifugo."""

from __future__ import annotations

import pytest

from gentrifugo.app.http.head import HTTPError
from gentrifugo.app.http.newer_versions import FOR_CLIENTS, check_subprotocol, newer_versions


@pytest.mark.parametrize("offered", ["centrifuge-protobuf", "centrifuge-json", "chat, centrifuge-protobuf"])
def test_their_subprotocols_are_refused_and_logged_once(offered: str, caplog: pytest.LogCaptureFixture) -> None:
    newer_versions.reset()
    for _ in range(3):
        with pytest.raises(HTTPError) as refused:
            check_subprotocol({"sec-websocket-protocol": offered})
        assert refused.value.status == 400
        assert offered in refused.value.reason
        assert FOR_CLIENTS in refused.value.reason
    (record,) = caplog.records
    assert offered in record.getMessage()
    assert "centrifuge-js 1.x" in record.getMessage()


@pytest.mark.parametrize("headers", [{}, {"sec-websocket-protocol": ""}, {"sec-websocket-protocol": "chat"}])
def test_other_subprotocols_do_not_matter(headers: dict[str, str]) -> None:
    check_subprotocol(headers)
