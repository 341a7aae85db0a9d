"""Looking after answers whose worker or job is gone: of this host at once, of all others once their leases have run out."""

from __future__ import annotations

import asyncio
import contextlib
import random

from django.db import InterfaceError, OperationalError

from assistant.database import Database
from assistant.delivery import clock
from assistant.lifecycle import approving, recovery
from assistant.models.worker import WorkerProcess
from assistant.worker.lease import Lease

SWEEP_SECONDS = 2.0
NEIGHBOURS_SECONDS = 1.0


async def sweep(lease: Lease, database: Database) -> None:
    """Waits, then recovers what is stuck, if this process may judge."""
    await asyncio.sleep(SWEEP_SECONDS * _at_random())
    if lease.may_judge:
        await database.call_once(_sweep, lease)
        await database.call_once(approving.expire)


def _sweep(lease: Lease) -> None:
    clock.ask()  # whoever judges by it has to know at once that it was set
    if lease.may_judge:
        recovery.sweep()


async def look_after_neighbours(worker: WorkerProcess, database: Database) -> None:
    """Goes on at once with what a dead process of this host held, also where its successor is not up yet."""
    await asyncio.sleep(NEIGHBOURS_SECONDS * _at_random())
    with contextlib.suppress(OperationalError, InterfaceError):  # the heartbeat tells of it
        await database.call_once(recovery.bury_the_dead_here, worker)


def _at_random() -> float:
    """So that not all processes do it in the same moment."""
    return random.uniform(0.75, 1.25)
