"""Writes the outboxes of all connections of a process, in rounds.

`Flusher.fan_out` appends a frame to the outboxes of all its receivers and writes nothing yet. A round then goes through
the outboxes that are not empty and writes all frames of a connection with one `send`, on the raw non-blocking socket
and within a callback of the event loop.

The system call is the main cost (sending one frame of 100 bytes takes about 6 µs, twenty joined frames about 7). So
under load the flusher rests between two rounds, and frames gather: the longer the last round took, the longer the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from gevent.event import Event

from ..runtime.cpu_meter import CPUMeter
from .bulk_send import chosen_queue_frame, chosen_send_waiting
from .flushable import Flushable
from .lane import Lane

MAX_FEW = 64
"""Number of connections up to which a message has the lane for small channels."""
REST_FACTOR = 4
"""A rest takes at most this many times as long as the round before it: after a few writes there is little to gain by
resting, and a client that waits for each reply would wait for the rest too (5.7 ms each time, instead of 0.2)."""
SPARE_SHARE, BUSY_SHARE = 0.65, 0.9
"""CPU share below which there is idle CPU time, and CPU share above which the process counts as busy."""
SHORT_REST = 0.25
"""The part of the longest rest that is enough while there is CPU to spare, and for small channels at any time.

With 1000 subscribers and 50 messages a second, a rest of 5 ms delays nothing and one of 20 ms quadruples the median
latency.
"""
MIN_GATHERED = 0.5
"""Frames that gather for each connection during a short rest and make it worth its delay.

With 500 subscribers and 150 messages a second, hardly any gather, and a rest of 5 ms triples the median latency.
"""
SOME_GATHERED, MANY_GATHERED = 2, 5
"""Frames that gather for each connection during a short rest: up to the first number, a longer rest saves too little
to be worth its delay; from the second on, the longest rest is.

With 1000 subscribers and messages without pause, the longest rest results in 1.75 times the deliveries.
"""


class Flusher:
    """Writes the outboxes of the clients of one process, or of its operators.

    `rest` is the longest time in seconds between two rounds under load: a longer one makes better use of each system
    call, a shorter one delays messages less, and 0 means no rest. A rest is at most `rest_factor` times as long as the
    round before it.

    A round writes to every connection that has frames, in slices, between which the event loop does other work. Frames
    that come meanwhile wait for the next round: if they were added to this one, it might never end, and there would be
    no rest (480,000 deliveries a second to 1000 subscribers instead of 1,100,000).

    Messages for few connections have a lane of their own, with rounds and rests of its own, so that they do not wait
    for the 10,000 subscribers of another channel. There a rest is short, and the shorter the fewer frames gather
    during it: with 1000 channels of 5 subscribers, hardly any connection gets two frames within 20 ms.
    """

    def __init__(
        self,
        rest: float = 0.02,
        rest_factor: float = REST_FACTOR,
        cpu_share: Callable[[], float] | None = None,
    ) -> None:
        self.rest = rest
        self._cpu_share = cpu_share or CPUMeter().share
        self._rest_factor = rest_factor
        self._queue_frame = chosen_queue_frame()
        send_waiting = chosen_send_waiting()
        self._few = Lane(self._rest_of_few, self._end_round, send_waiting)
        self._many = Lane(self._rest_of_many, self._end_round, send_waiting)
        self._round_done: Event | None = None
        self.unsent: set[Flushable] = set()
        """The outboxes that a round has written without emptying them, such as those of full sockets. They add and
        remove themselves."""
        self.frames_sent = 0
        """Frames that outboxes have sent which count here (Queue.counts)."""
        self.bytes_sent = 0

    @property
    def frames_queued(self) -> int:
        """The number of frames that were queued since the start."""
        return self._few.queued + self._many.queued

    def fan_out(self, outboxes: Collection[Flushable], frame: bytes) -> None:
        """Queue one frame for many connections."""
        count = len(outboxes)
        lane = self._few if count <= MAX_FEW else self._many
        waiting = lane.waiting
        try:
            self._queue_frame(outboxes, frame, waiting)
        finally:  # also those that have the frame when the memory does not suffice for all of them
            lane.queued += count
            if waiting and not lane.is_scheduled:
                lane.schedule()

    def waiting(self) -> set[Flushable]:
        """Return the outboxes for which bytes wait, now or since the last round."""
        return {*self._few.pending(), *self._many.pending(), *self.unsent}

    def wait_round(self, timeout: float) -> None:
        """Block until the end of the next round, at most `timeout` seconds."""
        if self._round_done is None:
            self._round_done = Event()
        self._round_done.wait(timeout)

    def _rest_of_many(self, round_took: float) -> float:
        """Return `rest` if the process is busy or many frames gather meanwhile; otherwise only a part of it."""
        busy = (self._cpu_share() - SPARE_SHARE) / (BUSY_SHARE - SPARE_SHARE)
        gathering = (self._gathered(self._many) - SOME_GATHERED) / (MANY_GATHERED - SOME_GATHERED)
        short = self._short_rest(self._many)
        longest = short + (self.rest - short) * min(max(busy, gathering, 0), 1)
        return min(longest, self._rest_factor * round_took)

    def _rest_of_few(self, round_took: float) -> float:
        return min(self._short_rest(self._few), self._rest_factor * round_took)

    def _short_rest(self, lane: Lane) -> float:
        """Return a part of `rest`, and less than that if few frames would gather during it."""
        return self.rest * SHORT_REST * min(self._gathered(lane) / MIN_GATHERED, 1)

    def _gathered(self, lane: Lane) -> float:
        """Return how many frames gather for each connection during the part of `rest` that is called short."""
        return lane.rate * self.rest * SHORT_REST

    def _end_round(self) -> None:
        if self._round_done is not None:
            self._round_done.set()
            self._round_done = None
