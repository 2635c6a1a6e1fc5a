"""The HTTP API of Centrifugo v4 and later: one path for each method, with an API key (docs/api-v4.md)."""
