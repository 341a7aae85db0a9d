"""Succession: what a worker does whose supervisor is gone.

A worker without a supervisor is unguarded, not useless: it works until a new supervisor's workers are there. Then it hands
over as in a rolling restart, so nobody's text stands still while the supervisor loads its libraries. If nobody comes, or
`serve` is gone as well (then nobody will), it hands over to whoever else there is.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from uuid import UUID

import psutil

from assistant.database import Database
from assistant.models.worker import WorkerProcess
from assistant.processes import slot
from assistant.processes.host_processes import is_process

logger = logging.getLogger(__name__)

SUPERVISED_SECONDS = 1.0  # between two looks
ORPHANED_SECONDS = 0.25
ORPHAN_SECONDS = 30.0  # so long a worker without a supervisor waits for the next supervisor's workers


class Succession:
    def __init__(self, worker: WorkerProcess, database: Database) -> None:
        self._worker, self._database = worker, database
        self._orphaned_at: float | None = None
        self._contemporaries: set[UUID] = set()  # the workers that were here when the supervisor was lost

    async def wait(self) -> None:
        await asyncio.sleep(SUPERVISED_SECONDS if self._orphaned_at is None else ORPHANED_SECONDS)

    async def look(self) -> None:
        """Whether the supervisor is there. Once it is gone, and others are here, tells this process to stop."""
        self._look_at_supervisor()
        if self._orphaned_at is not None:
            await self._look_for_successors(self._orphaned_at)

    def _look_at_supervisor(self) -> None:
        if slot.current and self._orphaned_at is None and not is_process(slot.current.supervisor_pid):
            logger.warning("The supervisor is gone: worker %s works on until there are others.", self._worker)
            self._orphaned_at = time.monotonic()

    async def _look_for_successors(self, since: float) -> None:
        here = await self._database.call_once(self._workers_here)
        self._contemporaries = self._contemporaries or here
        served_by = int(os.environ.get("PARLEY_SERVED_BY", 0))
        is_left = bool(served_by) and not is_process(served_by)
        is_late = time.monotonic() - since > ORPHAN_SECONDS
        if is_left or is_late or here - self._contemporaries:
            logger.warning("Worker %s, without a supervisor, hands over its turns and ends.", self._worker)
            os.kill(os.getpid(), signal.SIGTERM)

    def _workers_here(self) -> set[UUID]:
        alive = WorkerProcess.objects.alive().filter(host=self._worker.host, boot_id=self._worker.boot_id)
        return {self._worker.pk, *(pk for pk, pid in alive.values_list("pk", "pid") if _is_guarded(pid))}


def _is_guarded(pid: int) -> bool:
    """Whether a worker of this host is another supervisor's, as one without a supervisor sees it.

    An orphaned sentinel starts workers too, and these may be wedged by the death of the one before, with nobody to see
    it: they are no successors. Orphaned sentinels all have the same parent, whoever reaps orphans here.
    """
    try:
        return psutil.Process(pid).parent().ppid() != psutil.Process().parent().ppid()
    except psutil.NoSuchProcess:
        return False  # it has just died, and its row lives on for a moment
    except (psutil.Error, AttributeError):
        return True
