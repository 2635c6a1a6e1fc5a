"""The HTTP API of today's backends: one path for each method, with an API key (docs/api-v4.md)."""
