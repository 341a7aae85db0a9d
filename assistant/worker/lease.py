"""The lease: this process's row in the database, whose heartbeat says that its turns are alive."""

from __future__ import annotations

import asyncio
import enum
import logging
import time
from uuid import UUID

from django.db import InterfaceError, OperationalError
from django.db.models.functions import Now

from assistant import conf, outage
from assistant.database import Database
from assistant.delivery import queue
from assistant.lifecycle import answering, recovery
from assistant.models.message import Claim
from assistant.models.worker import WorkerProcess
from assistant.statements import Update
from assistant.worker.held_turns import HeldTurns
from assistant.worker.turn import Stop

logger = logging.getLogger(__name__)

_RENEW = Update(
    WorkerProcess,
    lambda p: (
        WorkerProcess.objects.filter(pk=p("id")),
        {"heartbeat_at": Now(), "load": p("load"), "stopped_at": None, "died_holding": None},
    ),
)


class Health(enum.Enum):
    """How the last heartbeats went."""

    UNTROUBLED = "none has failed"
    CUT_OFF = "the last one failed, or took so long that the lease may have run out"
    BACK = "one has failed, and they go well again"


class Lease:
    """Taken by `take`, renewed by `heartbeat`, given up by `give_up`. `doubt` brings the next heartbeat forward.

    `database` is the lease's own. What ends or puts back answers is done by `work`, the turns': a project's receivers of
    signals run there, and a slow one must not keep the heartbeat.
    """

    def __init__(self, worker: WorkerProcess, turns: HeldTurns, database: Database, work: Database) -> None:
        self.worker = worker
        self.doubt = asyncio.Event()
        self.health = Health.UNTROUBLED
        self._turns, self._database, self._work = turns, database, work
        self._back_since = 0.0  # while it is BACK
        self._beat_began: float | None = None  # of the heartbeat that is under way
        self._strays: dict[tuple[UUID, int], float] = {}  # rows of ours without a turn, and since when

    @property
    def may_judge(self) -> bool:
        """Whether this process may say of others that their leases have run out.

        After an outage of the database everybody's lease looks stale at once. Whoever was cut off itself waits a lease
        long, so that the living have renewed theirs before anyone is judged. A beat that hangs is no failure yet, but what
        keeps it (a lock on the whole of SQLite) keeps everyone's. Where the shared clock was set all look stale as well.
        """
        lease, now = conf.settings.lease, time.monotonic()
        if outage.was_recent():
            return False
        if self._beat_began is not None and now - self._beat_began > lease / 4:
            return False
        return self.health is Health.UNTROUBLED or (self.health is Health.BACK and now - self._back_since > lease)

    async def take(self) -> None:
        """Waits for as long as the database is away."""
        try:
            await self._database.call_once(self.register)
        except (OperationalError, InterfaceError):  # then the others' leases look stale as well
            await self._database.call(self.register)
            self._went_well()
        await self._work.call(recovery.bury_the_dead_here, self.worker)

    async def heartbeat(self) -> None:
        """Renews the lease, then asks which turns are still ours: the net below the messages to this process."""
        began = self._beat_began = time.monotonic()
        try:
            await self._beat()
        except (OperationalError, InterfaceError) as error:
            logger.warning("The heartbeat failed: %s", str(error).strip())
            self.health = Health.CUT_OFF
        else:
            if time.monotonic() - began > conf.settings.lease / 2:
                self.health = Health.CUT_OFF
            if self.health is Health.CUT_OFF:
                self._went_well()
        self._beat_began = None
        try:
            await asyncio.wait_for(self.doubt.wait(), conf.settings.heartbeat)
            self.doubt.clear()
        except TimeoutError:
            pass

    async def give_up(self) -> None:
        try:
            await self._database.call_once(self.unregister)
        except (OperationalError, InterfaceError):
            logger.warning("The database is away; this worker's lease will run out by itself.")

    def _went_well(self) -> None:
        self.health, self._back_since = Health.BACK, time.monotonic()

    async def _beat(self) -> None:
        if not await self._database.call_once(self.renew, len(self._turns)):
            await self._database.call(self.register)
        asked = {claim for claim, _ in self._turns}
        rows = await self._database.call_once(answering.rows_held_by, self.worker.pk)
        self.drop_lost(asked, rows)
        await self._disown(rows)

    def drop_lost(self, asked: set[Claim], rows: set[tuple[UUID, int]]) -> None:
        """Stops turns whose rows are no longer ours. Only of those that were there before the rows were read."""
        for claim in asked:
            if (claim.message_id, claim.attempt) not in rows:
                self._turns.stop(claim, Stop.LOST)

    async def _disown(self, rows: set[tuple[UUID, int]]) -> None:
        """Puts back rows that name this process and that it is not working on: its lease would keep them for ever.

        Only after a heartbeat's time, since a claim comes a moment before its turn.
        """
        now = time.monotonic()
        self._strays = {row: self._strays.get(row, now) for row in rows - self._turns.rows()}
        for row, since in list(self._strays.items()):
            if now - since >= conf.settings.heartbeat:
                logger.error("Answer %s (attempt %d) is ours and nobody writes it; it goes on.", *row)
                await self._work.call_once(recovery.disown, *row)
                del self._strays[row]

    # --- in the database's threads ---

    def register(self) -> None:
        queue.bring_schedules_back()
        WorkerProcess.objects.filter(pk=self.worker.pk).delete()
        self.worker.save(force_insert=True)
        recovery.forget_old_workers()

    def renew(self, load: int) -> bool:
        return bool(_RENEW.run(id=self.worker.pk, load=load))

    def unregister(self) -> None:
        WorkerProcess.objects.filter(pk=self.worker.pk).update(stopped_at=Now(), load=0)
