"""`python -m gentrifugo` is the command `gentrifugo`."""

import sys

from .app.cli import main

sys.exit(main())
