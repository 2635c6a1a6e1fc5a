"""The HTTP server: listeners, connections, and connections that other processes hand over."""
