"""Intake: this process waits at the bell and claims as many turns as it has room for, in one transaction.

What nobody has claimed within a second django-q2 delivers, one by one (`admit`). All of it runs on the loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from uuid import UUID

import redis.asyncio

from assistant.database import Database
from assistant.delivery import queue
from assistant.lifecycle import claiming
from assistant.models.message import Claim
from assistant.models.worker import WorkerProcess
from assistant.worker.held_turns import HeldTurns

logger = logging.getLogger(__name__)


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

    def close(self) -> None:
        """From now on nothing is claimed."""
        self.is_closed = True
        self._turns.wake()

    async def fetch(self) -> None:
        """Waits for room, then for the bell, and claims what it rings for; if it does not ring, whatever waits."""
        await self._turns.wait_for_room()
        found = rung = [] if self._is_behind else await self._rung()
        if not found:
            found, suspects = await self._database.call_once(claiming.waiting_and_suspects)
            self._is_behind = len(found) == claiming.BATCH
            if suspects and await self._try(suspects):
                return
        room = self._reserve(len(found))
        if room < len(found):
            self._is_behind = True
        if room and not await self._claim(room, claiming.claim_any, found[:room]) and rung:
            self._is_behind = True  # it may have rung for a suspect

    async def _try(self, suspects: Sequence[UUID]) -> bool:
        """Claims some of the answers of which one may have killed a worker, if this process holds nothing else."""
        room = 0 if self.is_closed else self._turns.reserve_all()  # or `admit` would bring others along
        return bool(room) and await self._claim(room, claiming.claim_suspects, suspects[:room])

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
