"""A client for backends in Python: the HTTP APIs of a Gentrifugo server as typed calls (docs/python-client.md).

It imports nothing of the server, and needs the extra `client` (httpx).
"""
