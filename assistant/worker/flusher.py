"""One sender for all answers that this process writes: what they have to tell goes to Valkey together.

An answer says that it has news and goes on. A first word leaves at once; everything else waits for the window to end, in
which all answers' pieces gather. Then each has its deltas drawn, and one pipeline appends them to the live texts and
publishes their frames. Only one is under way at a time: while Valkey is slow, deltas become fewer and longer.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from assistant.delivery import live_text, valkey
from assistant.delivery.outbox import Outbox
from assistant.presentation import broadcast

logger = logging.getLogger(__name__)

SHORTEST_SECONDS = 0.03
LONGEST_SECONDS = 0.1
FRAMES_A_SECOND = 700  # of a process: from 21 growing answers on the window widens
WEIGHT_OF_LAG = 2.0
FADING_OF_LAG = 0.8  # a window


@dataclass(frozen=True, slots=True)
class Draft:
    """A delta, whose session it is for, the text of the answer that it is of, and its frame."""

    delta: live_text.Delta
    session_id: UUID
    text: Any
    frame: str


class GrowingAnswer(Protocol):
    """An answer, as far as it is sent."""

    def next_drafts(self) -> list[Draft]:
        """What waits. It counts as shown until it is refused."""
        ...

    def refused(self, drafts: list[Draft]) -> None:
        """These were shown to nobody, and may not be for now."""


class FlushWindow:
    """How long pieces gather: longer if many answers grow, or if the loop is late, up to LONGEST_SECONDS."""

    def __init__(self) -> None:
        self.seconds = SHORTEST_SECONDS
        self._lag = 0.0

    def look(self, lag: float, answers: int) -> None:
        """A window has ended, so late, and this many answers had news in it."""
        self._lag = max(lag, self._lag * FADING_OF_LAG)
        wished = max(SHORTEST_SECONDS, answers / FRAMES_A_SECOND) + WEIGHT_OF_LAG * self._lag
        self.seconds = max(SHORTEST_SECONDS, min(LONGEST_SECONDS, wished))


class Flusher:
    """Of the running loop. It works while there is something to send."""

    def __init__(self, outbox: Outbox) -> None:
        self.window = FlushWindow()
        self._outbox = outbox
        self._news: dict[GrowingAnswer, None] = {}  # in the order in which they came
        self._urgent: dict[GrowingAnswer, None] = {}
        self._hurry = asyncio.Event()
        self._waiters: dict[GrowingAnswer, list[asyncio.Future[bool]]] = {}
        self._under_way: list[GrowingAnswer] = []
        self._landed: asyncio.Future[None] | None = None
        self._flushed_at = float("-inf")
        self._working: asyncio.Task[None] | None = None
        self._valkey_is_away = False

    def note(self, answer: GrowingAnswer, *, at_once: bool = False) -> None:
        """`answer` has news."""
        if at_once:
            self._news.pop(answer, None)
            self._urgent[answer] = None
            self._hurry.set()
        elif answer not in self._urgent:
            self._news[answer] = None
        if self._working is None:
            self._working = asyncio.create_task(self._work(), name="flusher")

    async def send(self, answer: GrowingAnswer) -> bool:
        """Sends what waits of `answer` and returns when it is sent. False: it may not be, for now."""
        sent: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(answer, []).append(sent)
        self.note(answer, at_once=True)
        return await sent

    async def send_once(self, drafts: list[Draft]) -> None:
        """Sends these of an answer that has nothing under way. What can't be stored is told to nobody."""
        for draft, result in zip(drafts, await self._written(drafts), strict=True):
            if result == live_text.DONE and draft.delta.publication is None:
                await broadcast.send_frame(draft.session_id, draft.frame)

    async def drop(self, answer: GrowingAnswer) -> None:
        """Forgets the news of `answer`, and returns when nothing of it is under way any more."""
        self._news.pop(answer, None)
        self._urgent.pop(answer, None)
        for waiter in self._waiters.pop(answer, ()):
            waiter.cancel()
        if answer in self._under_way and self._landed is not None:
            await asyncio.wait({self._landed})

    async def _work(self) -> None:
        try:
            while self._news or self._urgent:
                if not self._urgent:
                    await self._until_due()
                await self._flush(self._take())
        finally:
            self._working = None

    async def _until_due(self) -> None:
        loop = asyncio.get_running_loop()
        due = self._flushed_at + self.window.seconds
        self._hurry.clear()
        if (wait := due - loop.time()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._hurry.wait()
                return
            self.window.look(loop.time() - due, len(self._news))
        else:
            self.window.look(0.0, len(self._news))

    def _take(self) -> list[GrowingAnswer]:
        """Whose turn it is: those in a hurry alone, for the others go on gathering."""
        if not (self._urgent and self._news):
            self._flushed_at = asyncio.get_running_loop().time()
        if self._urgent:
            answers, self._urgent = self._urgent, {}
        else:
            answers, self._news = self._news, {}
        return list(answers)

    async def _flush(self, answers: list[GrowingAnswer]) -> None:
        waiters = {answer: self._waiters.pop(answer, []) for answer in answers}
        self._under_way, self._landed = answers, asyncio.get_running_loop().create_future()
        refused: set[GrowingAnswer] = set()
        try:
            drafts = {answer: self._drafts_of(answer) for answer in answers}
            refused = await self._sent(drafts)
        except Exception:
            logger.exception("Deltas could not be sent.")
        finally:
            self._under_way = []
            self._landed.set_result(None)
        for answer, waiting in waiters.items():
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(answer not in refused)

    def _drafts_of(self, answer: GrowingAnswer) -> list[Draft]:
        try:
            return answer.next_drafts()
        except Exception:  # viewers see by the number of the next one that one is missing
            logger.exception("A delta could not be drawn.")
            return []

    async def _sent(self, drafts: dict[GrowingAnswer, list[Draft]]) -> set[GrowingAnswer]:
        """Sends them; returns the answers that may not be written."""
        all_of_them = [draft for own in drafts.values() for draft in own]
        results = iter(await self._written(all_of_them))
        refused = set()
        untold = []
        for answer, own in drafts.items():
            became = [(draft, next(results)) for draft in own]
            if kept := [draft for draft, result in became if result == live_text.REFUSED]:
                refused.add(answer)
                answer.refused(kept)
            untold += [
                broadcast.send_frame(draft.session_id, draft.frame)
                for draft, result in became
                if result != live_text.REFUSED and (result != live_text.DONE or draft.delta.publication is None)
            ]
        await asyncio.gather(*untold)  # each hands on before it waits, so they keep their order
        return refused

    async def _written(self, drafts: list[Draft]) -> list[Any]:
        """What became of each. Without Valkey the database's checkpoints go on alone."""
        try:
            results = await live_text.write(self._outbox, [draft.delta for draft in drafts])
            errors = [result for result in results if isinstance(result, Exception)]
        except valkey.Unavailable as error:
            results, errors = [error] * len(drafts), [error]
        if errors and not self._valkey_is_away:
            logger.warning("Valkey is away (%s); answers go on.", errors[0])
        self._valkey_is_away = bool(errors)
        return results
