"""Until when certificates in files hold, for `gentrifugo doctor`."""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509

SOON = datetime.timedelta(days=14)
"""A certificate that runs out within this time should have been renewed."""


def last_day(path: Path) -> datetime.datetime:
    """When the first of the certificates in a PEM file ends. Raises OSError, and ValueError for what is none."""
    return min(certificate.not_valid_after_utc for certificate in x509.load_pem_x509_certificates(path.read_bytes()))


def left(path: Path) -> datetime.timedelta:
    """How long it still holds; negative when it has run out. Raises as `last_day`."""
    return last_day(path) - datetime.datetime.now(datetime.UTC)
