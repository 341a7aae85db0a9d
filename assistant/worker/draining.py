"""Draining: a process that is stopping gives its turns some time, and hands over the rest."""

from __future__ import annotations

import asyncio
import time

from assistant import conf
from assistant.worker.held_turns import HeldTurns
from assistant.worker.turn import Stop

EMPTY_POLL_SECONDS = 0.02  # between two looks whether a turn is left


class Draining:
    def __init__(self, turns: HeldTurns) -> None:
        self.is_handing_over = False  # the time is up: what begins now is handed over as well
        self._turns = turns

    async def hand_over(self) -> None:
        """Returns when there is no turn and, the intake having been closed, can't be one any more."""
        deadline = time.monotonic() + conf.settings.grace
        while not self._turns.is_empty:
            if time.monotonic() >= deadline and not self.is_handing_over:
                self.is_handing_over = True
                self._turns.stop_all(Stop.HAND_OVER)
            await asyncio.sleep(EMPTY_POLL_SECONDS)
