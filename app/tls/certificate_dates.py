"""Expiry dates of certificate files, for `gentrifugo doctor`."""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509

EXPIRY_WARNING_TIME = datetime.timedelta(days=14)
"""Remaining time below which a certificate should have been renewed."""


def earliest_expiry(path: Path) -> datetime.datetime:
    """Return the earliest expiry date of the certificates in a PEM file.

    Raises OSError, or ValueError for invalid PEM.
    """
    return min(certificate.not_valid_after_utc for certificate in x509.load_pem_x509_certificates(path.read_bytes()))


def time_left(path: Path) -> datetime.timedelta:
    """Return the time until the certificate expires; negative if it has expired. Raises OSError and ValueError."""
    return earliest_expiry(path) - datetime.datetime.now(datetime.UTC)
