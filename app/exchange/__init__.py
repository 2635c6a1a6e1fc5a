"""HTTP requests and their responses, the same under every server, and passing them to other processes."""
