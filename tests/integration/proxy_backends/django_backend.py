"""A backend in Django that answers in the format of Centrifugo's proxy; it prints its port when it listens."""

from __future__ import annotations

import json
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="a key of the tests",
)


@csrf_exempt
def connect(request: HttpRequest) -> JsonResponse:
    user = json.loads(request.body)["data"]["user"]
    if user == "mallory":
        return JsonResponse({"disconnect": {"code": 4501, "reason": "banned"}})
    allowed = {"user": user, "info": {"name": user.title()}, "data": {"hello": user}, "channels": ["news"]}
    return JsonResponse({"result": allowed})


@csrf_exempt
def subscribe(request: HttpRequest) -> JsonResponse:
    channel = json.loads(request.body)["channel"]
    if channel == "chat:closed":
        return JsonResponse({"error": {"code": 403, "message": "members only"}})
    return JsonResponse({"result": {"info": {"seat": 1}, "data": {"topic": channel}}})


@csrf_exempt
def publish(request: HttpRequest) -> JsonResponse:
    asked = json.loads(request.body)
    if asked["data"]["text"] == "bad":
        return JsonResponse({"error": {"code": 422, "message": "no such words"}})
    return JsonResponse({"result": {"data": {"text": asked["data"]["text"].upper(), "by": asked["user"]}}})


@csrf_exempt
def rpc(request: HttpRequest) -> JsonResponse:
    asked = json.loads(request.body)
    if asked["method"] != "sum":
        return JsonResponse({"error": {"code": 404, "message": "no such method"}})
    return JsonResponse({"result": {"data": {"sum": sum(asked["data"])}}})


def protected(request: HttpRequest) -> JsonResponse:
    """Return an empty result, unless the CSRF protection refuses the request."""
    return JsonResponse({"result": {}})


urlpatterns = [path(view.__name__, view) for view in (connect, subscribe, publish, rpc, protected)]


class Server(ThreadingMixIn, WSGIServer):
    """Serves each request in a separate thread."""

    daemon_threads = True


class Handler(WSGIRequestHandler):
    """Serves one request."""

    def log_message(self, *arguments: Any) -> None:
        """Log nothing: the test reads what the backend prints."""


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, get_wsgi_application(), Server, Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
