"""HTTP requests: heads, bodies, origins, client addresses, and upgrades to WebSocket."""
