"""Pings: the CPU time of pings to many idle connections."""

from __future__ import annotations

from benchmarks.advice import with_advice
from benchmarks.event_loop import EventLoop
from benchmarks.load import Load
from benchmarks.mode import Mode
from benchmarks.receivers import IdleReceiver
from benchmarks.report import Figure, Result
from benchmarks.span import Span
from benchmarks.subscribers import Subscribers
from benchmarks.target import Target


def run(target: Target, load: Load) -> Result:
    """Open connections, and then only answer pings."""
    loop = EventLoop()
    receivers: list[IdleReceiver] = []

    def make_receiver(_: int) -> IdleReceiver:
        receivers.append(IdleReceiver(target.protocol))
        return receivers[-1]

    subscribers = Subscribers(loop, target, load.channel_names, load.connections, make_receiver)
    try:
        subscribers.connect_all(load.parallel)
        before = sum(receiver.pings for receiver in receivers)
        span = Span(target)
        loop.run_for(load.seconds)
        span.end()
        pings = sum(receiver.pings for receiver in receivers) - before
        ended = subscribers.closed_by_server()
        subscribers.close_all()
    finally:
        subscribers.drop_all()
        loop.close()
    problems = [f"the server ended {count} connections: {with_advice(reason)}" for reason, count in ended.most_common()]
    if not pings:
        problems.append(f"no pings arrived within {load.seconds:g} s; the ping interval of the server may be longer")
    figures = [Figure("pings", pings / span.seconds, "/s"), *span.cost("ping", pings), *span.loads()]
    return Result(f"pings: {load.who}, {load.seconds:g} s", figures, problems)


MODE = Mode(
    "CPU of idle connections that are pinged; the time should be a multiple of the server's ping interval",
    {"connections": 5000, "channels": 1, "namespace": "", "seconds": 50.0, "parallel": 32},
    run,
)
