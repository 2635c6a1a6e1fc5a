"""A backend in Flask that answers in the format of Centrifugo's proxy; it prints its port when it listens."""

from __future__ import annotations

from typing import Any

from flask import Flask, request
from werkzeug.serving import make_server

app = Flask(__name__)


@app.post("/connect")
def connect() -> dict[str, Any]:
    user = request.json["data"]["user"]
    if user == "mallory":
        return {"disconnect": {"code": 4501, "reason": "banned"}}
    return {"result": {"user": user, "info": {"name": user.title()}, "data": {"hello": user}, "channels": ["news"]}}


@app.post("/subscribe")
def subscribe() -> dict[str, Any]:
    if request.json["channel"] == "chat:closed":
        return {"error": {"code": 403, "message": "members only"}}
    return {"result": {"info": {"seat": 1}, "data": {"topic": request.json["channel"]}}}


@app.post("/publish")
def publish() -> dict[str, Any]:
    if request.json["data"]["text"] == "bad":
        return {"error": {"code": 422, "message": "no such words"}}
    return {"result": {"data": {"text": request.json["data"]["text"].upper(), "by": request.json["user"]}}}


@app.post("/rpc")
def rpc() -> dict[str, Any]:
    if request.json["method"] != "sum":
        return {"error": {"code": 404, "message": "no such method"}}
    return {"result": {"data": {"sum": sum(request.json["data"])}}}


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, app, threaded=True)
    print(server.server_port, flush=True)
    server.serve_forever()
