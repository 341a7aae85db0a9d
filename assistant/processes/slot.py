"""One worker's place in the cluster: a few shared numbers, made before the fork.

The worker writes them; the supervisor (is it alive, does its loop turn?) and the pusher (is it full?) read them. They need
no database and no lock: each cell is one aligned 8-byte value with one writer.
"""

from __future__ import annotations

import time
from multiprocessing.sharedctypes import RawArray

from assistant.processes.host_processes import is_process

_PID, _BEAT_MS, _LOAD, _CAPACITY, _DRAINING, _SUPERVISOR, _FIRST_PID = range(7)
STILL_SECONDS = 1.0  # without a beat; a beat is due every 0.2 s


class Slot:
    def __init__(self, index: int, supervisor_pid: int) -> None:
        self.index = index
        self._cells = RawArray("q", 7)
        self._cells[_SUPERVISOR] = supervisor_pid

    def occupy(self, pid: int, capacity: int) -> None:
        """A worker process has started here."""
        self._cells[_CAPACITY], self._cells[_LOAD], self._cells[_DRAINING] = capacity, 0, 0
        self.beat(0)
        self._cells[_FIRST_PID] = self._cells[_FIRST_PID] or pid
        self._cells[_PID] = pid

    def clear(self) -> None:
        """Its worker has ended in order. It stays draining: the pusher, which lives a moment longer, takes nothing."""
        self._cells[_PID] = 0

    def vacate(self) -> None:
        """A new cluster begins here."""
        self._cells[_PID], self._cells[_DRAINING], self._cells[_FIRST_PID] = 0, 0, 0

    def beat(self, load: int) -> None:
        self._cells[_LOAD] = load
        self._cells[_BEAT_MS] = time.monotonic_ns() // 1_000_000

    def drain(self) -> None:
        self._cells[_DRAINING] = 1

    @property
    def pid(self) -> int:
        """The worker's process id; 0 before it has started and after it has ended in order."""
        return int(self._cells[_PID])

    @property
    def supervisor_pid(self) -> int:
        return int(self._cells[_SUPERVISOR])

    @property
    def seconds_since_beat(self) -> float:
        return time.monotonic() - self._cells[_BEAT_MS] / 1000

    @property
    def is_full(self) -> bool:
        """Whether a job is better left to another worker process: this one is at its limit, stopping, or stands still.

        Or dead, or what a sentinel has started in the place of a dead one: a worker killed while it waited for a job has
        taken the queue's lock along, and a job put there would wait until its lock in the database runs out.
        """
        if self._cells[_DRAINING]:
            return True
        return bool(self.pid) and (
            self._cells[_LOAD] >= self._cells[_CAPACITY]
            or self.seconds_since_beat > STILL_SECONDS
            or self.pid != self._cells[_FIRST_PID]
            or not is_process(self.pid)
        )


current: Slot | None = None  # set in the cluster's processes; None where django-q2's own command runs them


def is_full() -> bool:
    return current is not None and current.is_full
