"""Requests as HTTP has them: heads, bodies, origins, addresses, and the way to a WebSocket."""
