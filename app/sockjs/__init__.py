"""The SockJS protocol 0.3.3 for servers on gevent. Knows nothing of channels, nodes or any other use of it."""
