"""gunicorn for Gentrifugo: `gunicorn -c conf/gunicorn.conf.py "gentrifugo:create_app('config.json')"`.

Use one worker, unless config.json has `"engine": "redis"`: the memory engine does not connect several workers, so they
refuse to start.
"""

from gunicorn.workers import SUPPORTED_WORKERS

# The names that can be given as worker_class here, and with -k on the command line: Gentrifugo's own worker, and the
# worker of gevent-websocket.
SUPPORTED_WORKERS["gentrifugo"] = "gentrifugo.GentrifugoWorker"
SUPPORTED_WORKERS["geventwebsocket"] = "geventwebsocket.gunicorn.workers.GeventWebSocketWorker"

bind = "0.0.0.0:8000"
workers = 1
worker_class = "gentrifugo"

# Maximum open connections of a worker. With gunicorn's default of 1000, the next client would wait without an error.
worker_connections = 100_000

# Connections that wait in the kernel to be accepted; net.core.somaxconn is the upper limit.
backlog = 4096

# Seconds for the shutdown of a worker, in which it tells its clients to reconnect and closes their connections.
graceful_timeout = 10

# The log of gunicorn; that of Gentrifugo (option log_level) is written to standard output, or to option log_file.
errorlog = "-"
loglevel = "info"
