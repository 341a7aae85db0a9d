"""Intake: this process waits at the bell and claims as many turns as it has room for, in one transaction.

What nobody has claimed within a second django-q2 delivers, one by one (`admit`). All of it runs on the loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from uuid import UUID

import redis.asyncio

from assistant.database import Database
from assistant.delivery import queue
from assistant.lifecycle import claiming, suspicion
from assistant.models.message import Claim
from assistant.models.worker import WorkerProcess
from assistant.worker.held_turns import HeldTurns

logger = logging.getLogger(__name__)

LOOK_SECONDS = 3.0  # so often a process looks at what waits, however much the bell rings: it rings for no suspect


class Intake:
    """`begin(claim)` starts the turn: from the claim on there is somebody to be stopped, and a clock that runs."""

    def __init__(
        self,
        worker: WorkerProcess,
        turns: HeldTurns,
        database: Database,
        client: redis.asyncio.Redis,
        begin: Callable[[Claim], None],
    ) -> None:
        self.is_closed = False
        self._worker, self._turns, self._database, self._client = worker, turns, database, client
        self._begin = begin
        self._is_behind = True  # more may wait than the bell rings for, as when this process starts
        self._looked_at = float("-inf")

    def close(self) -> None:
        """From now on nothing is claimed."""
        self.is_closed = True
        self._turns.wake()

    async def fetch(self) -> None:
        """Waits for room, then for the bell, and claims what it rings for; if it does not ring, whatever waits."""
        await self._turns.wait_for_room(LOOK_SECONDS)
        found = rung = [] if self._is_to_look else await self._rung()
        if not found:
            found, suspects = await self._look()
            if suspects and await self._try(suspects):
                return
            await self._make_way(suspects)
        room = self._reserve(len(found))
        if room < len(found):
            self._is_behind = True
        if room and not await self._claim(room, claiming.claim_any, found[:room]) and rung:
            self._is_behind = True  # it may have rung for a suspect

    @property
    def _is_to_look(self) -> bool:
        """Also without room: suspects may have waited so long that this process is to take nothing fresh."""
        return self._is_behind or not self._turns.room or time.monotonic() - self._looked_at > LOOK_SECONDS

    async def _look(self) -> tuple[Sequence[UUID], Sequence[UUID]]:
        self._looked_at = time.monotonic()
        found, suspects = await self._database.call_once(claiming.waiting_and_suspects)
        self._is_behind = len(found) == claiming.BATCH
        return found, suspects

    async def _try(self, suspects: Sequence[UUID]) -> bool:
        """Claims some of the answers of which one may have killed a worker, if this process holds nothing else."""
        room = 0 if self.is_closed else self._turns.reserve_all()  # or `admit` would bring others along
        if not room:
            return False
        self._turns.end_emptying()
        has_begun = await self._claim(room, claiming.claim_suspects, suspects[:room])
        self._is_behind = self._is_behind or has_begun  # others may wait to be tried after these
        return has_begun

    async def _make_way(self, suspects: Sequence[UUID]) -> None:
        """Takes nothing fresh until nothing is left here, if suspects have waited long and it is this process's turn."""
        may_be_due = bool(suspects) and not self._turns.is_empty
        if may_be_due and await self._database.call_once(suspicion.is_to_empty_itself, self._worker):
            self._turns.begin_emptying()
        else:
            self._turns.end_emptying()

    async def admit(self, message_id: UUID) -> bool:
        """Claims this one answer once there is room. False: there was nothing to do, or this process is stopping."""
        while not self.is_closed:
            if self._reserve(1):
                return await self._claim(1, _claim_one, message_id)
            await self._turns.wait_for_room()
        return False

    async def _rung(self) -> Sequence[UUID]:
        found = await queue.rung(self._client, min(self._turns.room, claiming.BATCH))
        if found and self.is_closed:
            await asyncio.to_thread(queue.ring, queue.BELL, *map(str, found))  # for another process
        return found

    def _reserve(self, most: int) -> int:
        return 0 if self.is_closed else self._turns.reserve(most)

    async def _claim(self, room: int, work: Callable[..., list[Claim]], what: object) -> bool:
        try:
            claims = await self._database.call_once(work, what, self._worker)
            for claim in claims:
                try:
                    self._begin(claim)
                except Exception:
                    logger.exception("Turn %s could not be begun; the next heartbeats put it back.", claim.message_id)
        finally:
            self._turns.release(room)
        return bool(claims)


def _claim_one(message_id: UUID, worker: WorkerProcess) -> list[Claim]:
    claim = claiming.claim(message_id, worker)
    return [claim] if claim else []
