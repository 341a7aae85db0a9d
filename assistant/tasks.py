"""django-q2's doors: where its worker processes enter our code."""

from __future__ import annotations

import logging
import os
import signal
import threading
from multiprocessing import util
from typing import Any
from uuid import UUID

from assistant import conf, outage
from assistant.delivery import clock
from assistant.lifecycle import attaching, recovery
from assistant.processes import slot
from assistant.processes.host_processes import is_process
from assistant.worker.runner import Runner

logger = logging.getLogger(__name__)

_runner: Runner | None = None


def admit(message_id: str) -> bool:
    """The job of one answer: hands its turn to this process's runner and returns. See `Runner.admit`."""
    return _start_runner().admit(UUID(message_id))


def sweep() -> dict[str, int]:
    """The scheduled net below the runners' own sweeps. Returns counts by outcome."""
    clock.ask()
    return {} if outage.was_recent() else recovery.sweep()


def sweep_files() -> int:
    """Scheduled: clears away files that were never sent or that nothing refers to. Returns how many."""
    return attaching.sweep()


def _start_runner() -> Runner:
    global _runner
    if _runner is None:
        _runner = Runner()
        if slot.current:
            slot.current.occupy(os.getpid(), conf.settings.concurrency)
        if threading.current_thread() is threading.main_thread():
            # SIGTERM to the worker itself (a whole process group was told to stop) hands its turns over as well.
            signal.signal(signal.SIGTERM, _on_sigterm)
        # multiprocessing ends its children without running atexit; its own finalizers do run.
        util.Finalize(_runner, _finish, exitpriority=100)
        _runner.start()
    return _runner


def _finish() -> None:
    assert _runner is not None
    _runner.drain()
    _runner.join()
    if slot.current:
        slot.current.clear()


def _on_sigterm(signum: int, frame: Any) -> None:
    assert _runner is not None
    _runner.drain()
    # The main thread may wait for a job that never comes: once the turns are handed over, the process ends.
    threading.Thread(target=_exit_when_drained, name="exit", daemon=True).start()


def _exit_when_drained() -> None:
    assert _runner is not None
    _runner.join()
    if slot.current:
        slot.current.clear()
        if not is_process(slot.current.supervisor_pid):
            os.killpg(0, signal.SIGKILL)  # nobody else is left to end this cluster's other processes
    os._exit(0)


def begin() -> None:
    """Called in each worker process as soon as it is forked."""
    try:
        _start_runner()
    except Exception:  # an error raised here would end django-q2's worker
        logger.exception("The runner did not start; the first job tries again.")
