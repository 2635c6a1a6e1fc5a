"""Bytes and sockets: reading without a detour, queues of what is to be written, and the rounds that write them."""
