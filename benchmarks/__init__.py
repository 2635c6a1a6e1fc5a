"""How fast the server is: a load generator for anything that speaks the Centrifugo v1 protocol.

Standard library only, in one process without gevent, so that what it measures is the server. See docs/benchmarks.md.
"""
