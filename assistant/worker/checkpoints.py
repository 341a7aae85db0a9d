"""Checkpoints: once a second the changed texts of all turns of this process are stored, in one transaction."""

from __future__ import annotations

import asyncio

from assistant.database import Database
from assistant.lifecycle import answering
from assistant.worker.held_turns import HeldTurns
from assistant.worker.turn import Stop

INTERVAL_SECONDS = 1.0


async def checkpoint(turns: HeldTurns, database: Database) -> None:
    """Waits, then stores what has changed. Turns whose rows are no longer ours are stopped."""
    await asyncio.sleep(INTERVAL_SECONDS)
    changed = {
        claim: written
        for claim, turn in turns
        if not turn.is_ending and (written := turn.answer.written) and written.seqs != turn.stored_seqs
    }
    if not changed:
        return
    stored = {claim: turn.stored_seqs for claim, turn in turns}
    lost = await database.call(
        answering.checkpoint, {claim: written.since(stored[claim]) for claim, written in changed.items()}
    )
    for claim, written in changed.items():
        if claim in lost:
            turns.stop(claim, Stop.LOST)
        elif turn := turns.get(claim):
            turn.stored_seqs = written.seqs
