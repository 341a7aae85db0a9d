"""The turns that this process runs, and its room for more. The table is the loop's alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from uuid import UUID

from assistant.models.message import Claim
from assistant.worker.turn import Stop, Turn


class HeldTurns:
    def __init__(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self._turns: dict[Claim, Turn] = {}
        self._reserved = 0  # for claims that are on their way
        self._is_emptying = False
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._turns)

    def __contains__(self, claim: Claim) -> bool:
        return claim in self._turns

    def __iter__(self) -> Iterator[tuple[Claim, Turn]]:
        return iter(list(self._turns.items()))

    @property
    def tries_suspects(self) -> bool:
        """What it holds may have killed its worker, and takes no others along if it kills this one."""
        return any(claim.is_suspect for claim in self._turns)

    @property
    def _takes_no_more(self) -> bool:
        return self._is_emptying or self.tries_suspects

    @property
    def load(self) -> int:
        """As whoever gives out work should see it."""
        return self.concurrency if self._takes_no_more else len(self._turns)

    @property
    def room(self) -> int:
        if self._takes_no_more:
            return 0
        return max(0, self.concurrency - len(self._turns) - self._reserved)

    @property
    def is_empty(self) -> bool:
        """There is no turn, and no claim is on its way."""
        return not self._turns and not self._reserved

    async def wait_for_room(self, seconds: float | None = None) -> None:
        """Returns when there may be some, when it is woken, or after so long."""
        if not self.room:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), seconds)

    def wake(self) -> None:
        self._changed.set()

    def begin_emptying(self) -> None:
        """From now on there is no room, but all of it once nothing is left here (`reserve_all`)."""
        self._is_emptying = True

    def end_emptying(self) -> None:
        if self._is_emptying:
            self._is_emptying = False
            self.wake()

    def reserve(self, most: int) -> int:
        """Keeps room for up to `most` claims; returns for how many. Whoever does it releases it."""
        got = min(most, self.room)
        self._reserved += got
        return got

    def reserve_all(self) -> int:
        """Keeps all the room, if nothing is here and nothing on its way; 0 otherwise. Whoever does it releases it."""
        if not self.is_empty:
            return 0
        self._reserved = self.concurrency
        return self.concurrency

    def release(self, count: int) -> None:
        self._reserved -= count
        self.wake()

    def add(self, claim: Claim, turn: Turn) -> None:
        self._turns[claim] = turn

    def remove(self, claim: Claim) -> Turn:
        turn = self._turns.pop(claim)
        self.wake()
        return turn

    def get(self, claim: Claim) -> Turn | None:
        return self._turns.get(claim)

    def rows(self) -> set[tuple[UUID, int]]:
        """As `answering.rows_held_by` names them."""
        return {(claim.message_id, claim.attempt) for claim in self._turns}

    def stop(self, claim: Claim, why: Stop) -> None:
        if turn := self._turns.get(claim):
            turn.stop(why)

    def stop_all(self, why: Stop) -> None:
        for _, turn in self:
            turn.stop(why)

    def stop_lost(self, message_id: str, attempt: int) -> None:
        """This attempt at the message, and those before it, are no longer ours."""
        for claim, turn in self:
            if str(claim.message_id) == message_id and claim.attempt <= attempt:
                turn.stop(Stop.LOST)
