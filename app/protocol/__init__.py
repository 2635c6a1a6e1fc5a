"""What clients and backends say: one room for each version of the protocol."""
