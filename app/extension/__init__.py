"""Gentrifugo inside a Flask application, and publishing from processes that are not servers."""
