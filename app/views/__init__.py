"""The endpoints as Flask views, for servers without our HTTP connection and for applications."""
