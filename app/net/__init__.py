"""Sockets: direct reads and writes, TLS, outboxes, and the flusher that writes them."""
