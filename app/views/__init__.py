"""The endpoints as Flask views, for other HTTP servers and for applications."""
