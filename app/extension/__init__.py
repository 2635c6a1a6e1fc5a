"""Gentrifugo inside a Flask application, and publishing from processes that serve nobody."""
