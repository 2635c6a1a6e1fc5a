"""The smallest site with a server in it: its page shows the messages that you send with curl. Run it in this directory:

gentrifugo --app smallest:app
curl -X POST http://127.0.0.1:8000/tell/hello
"""

from __future__ import annotations

from flask import Flask, render_template
from library import add_library

from gentrifugo import Gentrifugo

app = Flask(__name__)
app.config["SECRET_KEY"] = "change me"
realtime = Gentrifugo(app)
add_library(app)


@app.get("/")
def page() -> str:
    """Return the page that shows all messages."""
    return render_template("smallest.html")


@app.post("/tell/<text>")
def tell(text: str) -> tuple[str, int]:
    """Publish a message to all open pages."""
    realtime.publish("news", {"text": text})
    return "", 204
