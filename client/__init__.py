"""A client for backends in Python: typed calls of the HTTP APIs of a Gentrifugo server (docs/python-client.md).

It imports nothing from the server, and needs the extra `client` (httpx).
"""
