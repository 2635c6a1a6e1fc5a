"""Version 2 of the protocol: its messages in JSON and Protobuf, its error codes, and its tokens."""
