"""A site that shows the settings of the garbage collector of its process: `gentrifugo --app collecting_site:app`."""

from __future__ import annotations

import gc

from flask import Flask

from gentrifugo import Gentrifugo

app = Flask(__name__)
app.config.update(SECRET_KEY="key")
Gentrifugo(app)


@app.get("/")
def home() -> str:
    return f"{gc.get_threshold()[0]} {gc.get_freeze_count() > 0}"
