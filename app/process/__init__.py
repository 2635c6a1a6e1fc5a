"""A process from start to end: running, supervising workers, gunicorn, and the doctor."""
