"""Certificates: loading, obtaining and renewing them."""
