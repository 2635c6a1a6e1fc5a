"""gunicorn for Gentrifugo: `gunicorn -c conf/gunicorn.conf.py "gentrifugo:create_app('config.json')"`.

One worker, unless config.json says `"engine": "redis"`: with the memory engine a second worker would be a server of its
own, and it refuses to start.
"""

from gunicorn.workers import SUPPORTED_WORKERS

# The names that can be given as worker_class here, and with -k on the command line: Gentrifugo's own worker, and the
# worker of gevent-websocket.
SUPPORTED_WORKERS["gentrifugo"] = "gentrifugo.GentrifugoWorker"
SUPPORTED_WORKERS["geventwebsocket"] = "geventwebsocket.gunicorn.workers.GeventWebSocketWorker"

bind = "0.0.0.0:8000"
workers = 1
worker_class = "gentrifugo"

# gunicorn's default of 1000 counts open connections here: client number 1001 would hang, without any message.
worker_connections = 100_000

# Connections the kernel holds until they are accepted; it caps this by net.core.somaxconn.
backlog = 4096

# When a worker stops, it tells its clients to reconnect; this is how many seconds they have for it.
graceful_timeout = 10

# gunicorn's own log; Gentrifugo's (option log_level) goes to standard output, or to option log_file.
errorlog = "-"
loglevel = "info"
