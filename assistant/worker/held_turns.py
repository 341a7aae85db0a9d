"""The turns that this process runs, and its room for more."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from uuid import UUID

from assistant.models.message import Claim
from assistant.worker.turn import Stop, Turn


class HeldTurns:
    """The table is the loop's alone. The `room`, one for each turn, is taken by whoever admits, in another thread."""

    def __init__(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self.room = threading.BoundedSemaphore(concurrency)
        self._turns: dict[Claim, Turn] = {}

    def __len__(self) -> int:
        return len(self._turns)

    def __contains__(self, claim: Claim) -> bool:
        return claim in self._turns

    def __iter__(self) -> Iterator[tuple[Claim, Turn]]:
        return iter(list(self._turns.items()))

    def add(self, claim: Claim, turn: Turn) -> None:
        """Its room has been taken before."""
        self._turns[claim] = turn

    def remove(self, claim: Claim) -> Turn:
        """Gives its room back."""
        turn = self._turns.pop(claim)
        self.room.release()
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
