"""gunicorn for Gentrifugo: `gunicorn -c conf/gunicorn.conf.py "gentrifugo:create_app('config.json')"`.

One worker, unless config.json says `"engine": "redis"`: with the memory engine a second one would
be a server of its own, and refuses to start. To run under the stock worker of gevent-websocket instead, set
worker_class to "geventwebsocket.gunicorn.workers.GeventWebSocketWorker".
"""

bind = "0.0.0.0:8000"
workers = 1
worker_class = "gentrifugo.app.process.gunicorn_worker.GentrifugoWorker"

# gunicorn's default of 1000 counts open connections here: client 1001 would hang without a word.
worker_connections = 100_000

# Connections the kernel holds until they are accepted; it caps this by net.core.somaxconn.
backlog = 4096

# Clients are told to come back when a worker stops; this is how long they have to leave.
graceful_timeout = 10

# gunicorn's own log; Gentrifugo's (option log_level) goes to standard output, or to option log_file.
errorlog = "-"
loglevel = "info"
