"""The debug endpoints (option debug): running greenlets, CPU profiles, and memory by type (docs/admin.md)."""

from __future__ import annotations

import gc
import json
import sys
from collections import Counter, defaultdict

import gevent.util
import greenlet
from flask import Blueprint, Response, request

from ..app.runtime.background import BackgroundLoop
from ..app.runtime.yielding import yield_if_due
from . import profile
from .stacks import stack_of

DEBUG_PATH = "/debug/pprof/"
INDEX_TEXT = """Gentrifugo, debug endpoints

greenlets              greenlets counted by function, with one stack of each
greenlets?all=1        the stack of every greenlet
run_info               gevent's report of greenlets and threads
profile?seconds=10     CPU profile for speedscope (https://www.speedscope.app)
profile?seconds=10&format=collapsed    CPU profile for flamegraph.pl
memory                 objects in memory by type, with their own sizes
"""
DEFAULT_SECONDS, MAX_PROFILE_SECONDS = 10.0, 120.0
CHUNK = 1000
"""Number of objects after which other greenlets can run."""
MAX_LISTED_TYPES = 100


def debug_blueprint() -> Blueprint:
    """Create the blueprint of all debug endpoints."""
    pages = Blueprint("gentrifugo_debug", __name__)
    pages.add_url_rule(DEBUG_PATH, "index", lambda: _text(INDEX_TEXT))
    pages.add_url_rule(f"{DEBUG_PATH}greenlets", "greenlets", _greenlets)
    pages.add_url_rule(f"{DEBUG_PATH}run_info", "run_info", _run_info)
    pages.add_url_rule(f"{DEBUG_PATH}profile", "profile", _profile)
    pages.add_url_rule(f"{DEBUG_PATH}memory", "memory", _memory)
    return pages


def _text(text: str, status: int = 200) -> Response:
    return Response(text, status, content_type="text/plain; charset=utf-8")


def _greenlets() -> Response:
    stacks: dict[str, list[list[str]]] = defaultdict(list)
    for found in _all_greenlets():
        stack = stack_of(found.gr_frame)
        stacks[_function_of(found, stack)].append(stack)
        yield_if_due()
    show_all = bool(request.args.get("all"))
    lines = [f"{sum(map(len, stacks.values()))} greenlets"]
    for function, those in sorted(stacks.items(), key=lambda item: -len(item[1])):
        lines += ["", f"{len(those)} x {function}"]
        for stack in those if show_all else those[:1]:
            lines += [f"    {place}" for place in stack or ("not started, or running now",)]
            if show_all:
                lines.append("")
    return _text("\n".join(lines) + "\n")


def _all_greenlets() -> list[greenlet.greenlet]:
    # The collector does not list what existed when the server started, such as the greenlet of the event loop.
    known = (*gc.get_objects(), hub := gevent.get_hub(), hub.parent)
    greenlets = dict.fromkeys(thing for thing in known if isinstance(thing, greenlet.greenlet))
    return [found for found in greenlets if not found.dead]


def _function_of(found: greenlet.greenlet, stack: list[str]) -> str:
    run = getattr(found, "_run", None) or getattr(found, "run", None)
    if isinstance(loop := getattr(run, "__self__", None), BackgroundLoop):
        return f"background loop: {loop.name}"
    name = getattr(run, "__qualname__", "") or getattr(type(run), "__qualname__", "")
    if isinstance(found, gevent.Greenlet) and name:
        return f"{getattr(run, '__module__', '?')}.{name}"
    frame = sys._getframe() if found is gevent.getcurrent() else found.gr_frame
    if type(found) is greenlet.greenlet and frame is not None:  # such as that of a connection
        while frame.f_back is not None:
            frame = frame.f_back
        return f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_qualname}"
    return type(found).__qualname__ if not stack else f"{type(found).__qualname__} in {stack[0]}"


def _run_info() -> Response:
    lines: list[str] = gevent.util.format_run_info()  # type: ignore[assignment, func-returns-value]
    return _text("\n".join(lines) + "\n")


def _profile() -> Response:
    try:
        seconds = float(request.args.get("seconds", DEFAULT_SECONDS))
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MAX_PROFILE_SECONDS:
        return _text(f"seconds: must be a number above 0, and at most {MAX_PROFILE_SECONDS:g}\n", 400)
    shape = request.args.get("format", "speedscope")
    if shape not in ("speedscope", "collapsed"):
        return _text("format: must be speedscope or collapsed\n", 400)
    try:
        samples = profile.sample(seconds)
    except profile.ProfileInProgress as busy:
        return _text(f"{busy}\n", 409)
    if shape == "collapsed":
        return _text(profile.format_collapsed(samples))
    response = Response(json.dumps(profile.format_speedscope(samples)), content_type="application/json")
    response.headers["Content-Disposition"] = 'attachment; filename="gentrifugo.speedscope.json"'
    return response


def _memory() -> Response:
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for number, thing in enumerate(gc.get_objects()):
        kind = type(thing)
        name = f"{kind.__module__}.{kind.__qualname__}"
        counts[name] += 1
        sizes[name] += sys.getsizeof(thing, 0)
        if number % CHUNK == 0:
            yield_if_due()
    lines = [f"{counts.total()} objects that the garbage collector knows, {sizes.total()} bytes", ""]
    lines.append(f"{'bytes':>12} {'objects':>10}  type")
    lines += [f"{size:>12} {counts[name]:>10}  {name}" for name, size in sizes.most_common(MAX_LISTED_TYPES)]
    return _text("\n".join(lines) + "\n")
