"""The vocabulary that every other room shares: events, errors, JSON, signatures. Imports nothing of this project."""
