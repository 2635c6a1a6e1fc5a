"""Version 1 of the protocol: its envelopes, its clients, and its API."""
