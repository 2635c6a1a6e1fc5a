"""The four standard services under gevent-websocket's handler, which the stock gunicorn worker uses.

`python -m tests.sockjs_stock_server` listens on a free port and prints it as the test server of the package does.
"""

from __future__ import annotations

from gevent.pywsgi import WSGIServer
from geventwebsocket.handler import WebSocketHandler

from tests.sockjs_testserver import StandardServices


def main() -> None:
    server = WSGIServer(("127.0.0.1", 0), StandardServices(), handler_class=WebSocketHandler, log=None)
    server.start()
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
