"""Connections over HTTP responses that do not end: HTTP streaming, Server-Sent Events, and one-way connections."""
