"""The WebSocket protocol: handshake, frames, compression, and the connection that speaks it."""
