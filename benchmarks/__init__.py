"""A load generator that measures servers with a protocol of Centrifugo (docs/benchmarks.md).

It uses only the standard library, in one process without gevent, so that its own load does not distort the results.
"""
