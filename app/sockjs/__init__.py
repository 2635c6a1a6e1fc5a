"""The SockJS protocol 0.3.3 for servers on gevent, independent of channels, nodes and any other use of it."""
