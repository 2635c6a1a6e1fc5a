"""A client of the HTTP API that lets tests choose every header and byte."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode

from tests.credentials import API_KEY, SECRET, sign
from tests.waiting import seconds

JSON_TYPE = "application/json"


@dataclass(frozen=True)
class Answer:
    """The response to a request of the HTTP API."""

    status: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class APIClient:
    """Sends commands to `/api/` of one server, one connection per request."""

    def __init__(self, host: str, port: int, secret: str = SECRET, key: str = API_KEY) -> None:
        self.host = host
        self.port = port
        self.secret = secret
        self.key = key

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Run one command and return its reply; the request as a whole must succeed."""
        answer = self.post(json.dumps({"method": method, "params": params}))
        assert answer.status == 200, answer
        (reply,) = answer.json()
        return dict(reply)

    def publish(self, channel: str, data: Any, **params: Any) -> None:
        """Publish, which must succeed."""
        reply = self.call("publish", channel=channel, data=data, **params)
        assert reply == {"method": "publish", "error": None, "body": None}

    def call_v4(self, method: str, **params: Any) -> dict[str, Any]:
        """Run one method of the API of later versions, which must succeed, and return its result."""
        headers = {"Content-Type": JSON_TYPE, "X-API-Key": self.key}
        answer = self.request("POST", f"/api/{method}", json.dumps(params).encode(), headers)
        assert answer.status == 200, answer
        return dict(answer.json()["result"])

    def post(self, body: str, *, content_type: str = JSON_TYPE, signature: str | None = "right") -> Answer:
        """Post a body with its signature, an invalid one (any other text) or none (None) in X-API-Sign."""
        headers = {"Content-Type": content_type}
        if signature is not None:
            headers["X-API-Sign"] = self._sign(body) if signature == "right" else signature
        return self.request("POST", "/api/", body.encode(), headers)

    def post_form(self, body: str, signature: str | None = "right") -> Answer:
        """Post a body and its signature as the fields of a form."""
        content = urlencode(self._fields(body, signature)).encode()
        return self.request("POST", "/api/", content, {"Content-Type": "application/x-www-form-urlencoded"})

    def post_multipart(self, body: str, signature: str | None = "right") -> Answer:
        """Post a body and its signature as a multipart form."""
        boundary = uuid.uuid4().hex
        parts = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in self._fields(body, signature).items()
        )
        content = "".join([*parts, f"--{boundary}--\r\n"]).encode()
        return self.request("POST", "/api/", content, {"Content-Type": f"multipart/form-data; boundary={boundary}"})

    def request(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        """Send any HTTP request, and return the response."""
        connection = HTTPConnection(self.host, self.port, timeout=seconds(10))
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.read())
        finally:
            connection.close()

    def _fields(self, body: str, signature: str | None) -> dict[str, str]:
        if signature is None:
            return {"data": body}
        return {"data": body, "sign": self._sign(body) if signature == "right" else signature}

    def _sign(self, body: str) -> str:
        return sign(body, secret=self.secret)
