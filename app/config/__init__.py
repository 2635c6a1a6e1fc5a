"""Declares all options, and reads and checks their values."""
