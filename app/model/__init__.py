"""Types and functions that all other packages use: events, errors, JSON, signatures. Imports no other package."""
