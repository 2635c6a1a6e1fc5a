"""The HTTP server: listeners, connections, and connections from other processes."""
