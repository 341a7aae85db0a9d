"""Runs django-q2 clusters of one worker each, and replaces a cluster as a whole when anything of it dies.

Why clusters of one: django-q2's workers share a queue and its lock. A worker that is killed while it waits for a job (as
ours nearly always does) takes the lock along, and every worker of its cluster waits for ever. In a cluster of one that
harms nobody but the dead, and the remedy is always the same: end the cluster's process group, fork a new one. The fork
comes from this process, which has litellm loaded and its heap frozen, so it takes tens of milliseconds.

This process must stay single-threaded and hold no connection: it is what the others are copied from.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import time
import uuid
from multiprocessing.process import BaseProcess
from typing import Any

from assistant import conf
from assistant.processes import slot
from assistant.processes.backoff import Backoff
from assistant.processes.host_processes import is_process, wait_for_end

logger = logging.getLogger(__name__)

WATCH_SECONDS = 0.1  # between looks while a worker is awaited or stops
BEAT_SECONDS = 1.0  # between looks at the beats of workers; a death is seen at once
START_SECONDS = 60.0  # longer than this without a worker: the cluster is taken to be stuck
STOP_MARGIN_SECONDS = 15.0

_processes = multiprocessing.get_context("fork")


class OneWorkerCluster:
    """A django-q2 sentinel with its pusher, its monitor and one worker, in a process group of their own."""

    def __init__(self, index: int) -> None:
        self.slot = slot.Slot(index, os.getpid())
        self._sentinel: BaseProcess | None = None
        self._stop_event: Any = None
        self._worker_pid = 0
        self._started = 0.0
        self._backoff = Backoff()
        self._start_at = 0.0

    def start(self) -> None:
        self._stop_event = _processes.Event()
        self._worker_pid = 0
        self.slot.vacate()
        self._started = time.monotonic()
        self._sentinel = _processes.Process(
            target=_run_sentinel, args=(self.slot, self._stop_event), name=f"cluster-{self.slot.index}"
        )
        self._sentinel.start()

    def watch(self) -> None:
        """Replaces the cluster if any of it that matters is dead or stuck."""
        if self._sentinel is None:
            if time.monotonic() >= self._start_at:
                self.start()
            return
        if trouble := self._trouble():
            self._replace(trouble)

    @property
    def pids(self) -> list[int]:
        """The processes whose end is trouble; none while something is awaited that nobody tells of."""
        if self._sentinel is None or not self._worker_pid:
            return []
        return [self._sentinel.pid or 0, self._worker_pid]

    def _trouble(self) -> str | None:
        assert self._sentinel is not None
        pid, lifetime = self.slot.pid, time.monotonic() - self._started
        if not self._sentinel.is_alive():
            return f"its sentinel died (exit code {self._sentinel.exitcode})"
        if not self._worker_pid:
            self._worker_pid = pid
            return "its worker did not start" if not pid and lifetime > START_SECONDS else None
        if pid != self._worker_pid or not is_process(pid):
            return f"its worker (pid {self._worker_pid}) died"
        if self.slot.seconds_since_beat > conf.settings.lease:
            return f"its worker's event loop has been stuck for {self.slot.seconds_since_beat:.0f} s"
        return None

    def _replace(self, trouble: str) -> None:
        self.kill()
        pause = self._backoff.pause_after(time.monotonic() - self._started)
        self._start_at = time.monotonic() + pause
        logger.warning(
            "Cluster %d: %s; a new one starts%s.",
            self.slot.index, trouble, f" in {pause:.1f} s" if pause else "",
        )  # fmt: skip
        if not pause:
            self.start()

    def ask_to_stop(self) -> None:
        """The worker hands its turns over, then everything ends. `is_stopped` says when."""
        if self._sentinel is None:
            return
        if (pid := self.slot.pid) and is_process(pid):
            self._worker_pid = pid
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        self._stop_event.set()

    @property
    def is_stopped(self) -> bool:
        """Its worker has handed everything over. What is left of the cluster holds nothing that has to be saved.

        (It may hang: a pusher can't put down the job it has just taken when nobody takes the one before it.)
        """
        if self._sentinel is None or not self._sentinel.is_alive():
            return True
        return bool(self._worker_pid) and not is_process(self._worker_pid)

    def kill(self) -> None:
        if self._sentinel is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._sentinel.pid or 0, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._sentinel.pid or 0, signal.SIGKILL)
        self._sentinel.join()
        self._sentinel = None


class Supervisor:
    def __init__(self, workers: int) -> None:
        self._clusters = [OneWorkerCluster(index) for index in range(workers)]
        self._stops = 0
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wake, False)
        # Started by `serve` it does not outlive it; started by hand it outlives the shell.
        self._served_by = int(os.environ.get("PARLEY_SERVED_BY", 0))

    def run(self) -> None:
        """Runs until SIGTERM or SIGINT, or until the process that started this one is gone. A second signal hurries."""
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)  # else a sleep goes on after a signal
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        while not self._stops:
            for cluster in self._clusters:
                cluster.watch()
            if self._served_by and os.getppid() != self._served_by:
                logger.warning("The process that started this one is gone; the workers stop.")
                break
            self._sleep()
        self._stop()

    def _sleep(self) -> None:
        """Until a signal comes, or there is something to look at."""
        pids = [pid for cluster in self._clusters for pid in cluster.pids]
        is_calm = all(cluster.pids for cluster in self._clusters)
        if self._served_by:
            pids.append(self._served_by)
        wait_for_end(pids, BEAT_SECONDS if is_calm else WATCH_SECONDS, self._woken)
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 1024)

    def _stop(self) -> None:
        for cluster in self._clusters:
            cluster.ask_to_stop()
        until = time.monotonic() + conf.settings.grace + STOP_MARGIN_SECONDS
        while not all(cluster.is_stopped for cluster in self._clusters):
            if time.monotonic() > until or self._stops > 1:
                logger.warning("Some workers did not stop in time and are killed; their turns are recovered.")
                break
            time.sleep(WATCH_SECONDS / 2)
        for cluster in self._clusters:
            cluster.kill()

    def _on_signal(self, signum: int, frame: Any) -> None:
        self._stops += 1


def _run_sentinel(own: slot.Slot, stop_event: Any) -> None:
    """The body of a cluster's first process. A session of its own: the terminal's Ctrl-C is the supervisor's alone."""
    from django_q.cluster import Sentinel  # only this process has a use for it

    os.setsid()
    signal.set_wakeup_fd(-1)  # the supervisor's
    slot.current = own
    Sentinel(stop_event, _processes.Event(), uuid.uuid4())
