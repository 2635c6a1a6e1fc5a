"""The protocols of clients and backends: one package for each version."""
