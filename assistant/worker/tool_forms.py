"""How a running call asks people: it waits for them off its own clock, and not for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from assistant.database import Database
from assistant.lifecycle import form_filling
from assistant.models.message import Claim
from assistant.tools.form import Filled, Form

FORM_SECONDS = 300.0  # for people to fill in a form
FILLED_POLL_SECONDS = 0.5  # between two looks whether they have
LEAST_SECONDS = 5.0  # that they need to have, or they are not asked


class Clock:
    """The time that a tool has. It stands still while people are asked."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._limit: asyncio.Timeout | None = None  # while somebody waits, and the time is not up
        self._stops = 0

    async def wait(self, working: asyncio.Future[Any]) -> bool:
        """Waits for `working`. False: the time is up, and it goes on."""
        try:
            async with asyncio.timeout(self._left) as self._limit:
                await asyncio.wait({working})
        except TimeoutError:
            return False
        finally:
            self._limit = None
        return True

    @contextmanager
    def stopped(self) -> Iterator[None]:
        now = asyncio.get_running_loop().time
        self._stops += 1
        if self._stops == 1 and self._limit and not self._limit.expired():
            self._left = (self._limit.when() or 0) - now()
            self._limit.reschedule(None)
        try:
            yield
        finally:
            self._stops -= 1
            if not self._stops and self._limit and not self._limit.expired():
                self._limit.reschedule(now() + self._left)


class Asking:
    """Of one call. `ends_at`: when its turn has to end, on the monotonic clock."""

    def __init__(self, claim: Claim, call_id: UUID, database: Database, clock: Clock, ends_at: float) -> None:
        self._claim, self._call_id, self._database = claim, call_id, database
        self._clock, self._ends_at = clock, ends_at
        self._one_at_a_time = asyncio.Lock()
        self._closing: set[asyncio.Task[Filled]] = set()

    async def ask(self, form: Form) -> Filled:
        """What people answer; "cancel" if nobody does in time."""
        with self._clock.stopped():
            async with self._one_at_a_time:
                until = min(time.monotonic() + FORM_SECONDS, self._ends_at - LEAST_SECONDS)
                if time.monotonic() + LEAST_SECONDS > until:
                    return Filled("cancel")
                number = await self._database.call(form_filling.put, self._claim, self._call_id, form)
                return Filled("cancel") if number is None else await self._filled(number, until)

    async def _filled(self, number: int, until: float) -> Filled:
        named = (self._claim, self._call_id, number)
        try:
            while time.monotonic() < until:
                filled = await self._database.call(form_filling.taken, *named)
                if filled is not None:
                    return filled
                await asyncio.sleep(FILLED_POLL_SECONDS)
        except asyncio.CancelledError:  # who asked has lost interest: nobody is to fill it in any more
            closing = asyncio.create_task(self._database.call(form_filling.close, *named))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            raise
        return await self._database.call(form_filling.close, *named)
