"""HTTP requests and responses, independent of the server, and how to pass them to other processes."""
