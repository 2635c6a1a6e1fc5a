"""The WebSocket protocol: handshake, frames, compression, and connections."""
