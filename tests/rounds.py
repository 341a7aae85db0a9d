"""A whole turn in the tests' own process: a claim, a loop, the scripted provider over HTTP, and tools that tests make."""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Callable
from typing import Any

from django.db import connections

from assistant.database import Database
from assistant.delivery.outbox import Outbox
from assistant.models import Message, ToolCall
from assistant.models.message import Claim
from assistant.tools import Service
from assistant.worker.flusher import Flusher
from assistant.worker.turn import Stop, Turn
from tests.acting import claimed, now

MODULE = "tests.tools_of_this_test"


def offer(settings: Any, monkeypatch: Any, *services: Service) -> None:
    """Makes a module of these services and names it in ASSISTANT_TOOLS."""
    from assistant.toolbox import registry

    module = types.ModuleType(MODULE)
    for service in services:
        setattr(module, service.name, service)
    monkeypatch.setitem(sys.modules, MODULE, module)
    settings.ASSISTANT_TOOLS = [MODULE]
    registry.services_of.cache_clear()


def run_turn(loop: asyncio.Runner, claim: Claim, meanwhile: Callable[[Turn], Any] | None = None) -> None:
    """Runs the claim's turn to its end. `meanwhile(turn)` is awaited beside it."""

    async def scenario() -> None:
        outbox, database = Outbox(), Database("test")
        turn = Turn(claim, database, Flusher(outbox), on_doubt=lambda: None, on_sick=lambda: None)
        running = asyncio.create_task(turn.run())
        try:
            if meanwhile:
                await meanwhile(turn)
            await asyncio.wait_for(running, 60)
        finally:
            running.cancel()  # else the turn of a test that failed goes on in those after it
            await outbox.close()
            database.close(wait=True)

    loop.run(scenario())


def run_to_the_end(loop: asyncio.Runner, answer: Message, worker: Any, most: int = 20) -> Message:
    """Claims and runs the answer again as long as it has a job; returns it as it stands then."""
    for _ in range(most):
        row = now(answer)
        if row.status != "pending" or row.job is None:
            return row
        run_turn(loop, claimed(row, worker))
    raise AssertionError(f"It does not end: {now(answer)}")


async def beside(work: Callable[..., Any], *arguments: Any) -> Any:
    """`work` in a thread that leaves no connection behind: a database with one can't be dropped."""

    def run() -> Any:
        try:
            return work(*arguments)
        finally:
            connections.close_all()

    return await asyncio.to_thread(run)


def hand_over(turn: Turn) -> None:
    turn.stop(Stop.HAND_OVER)


def calls(answer: Message) -> list[tuple[str, str]]:
    """(name, status) of its calls in order."""
    return list(ToolCall.objects.filter(message_id=answer.pk).in_order().values_list("name", "status"))
