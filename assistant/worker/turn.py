"""One turn: from a claim to an ending, as a story. It knows no HTTP and no queue."""

from __future__ import annotations

import asyncio
import enum
import logging
import time
from collections.abc import Callable

from assistant import conf, llm
from assistant.database import Database
from assistant.lifecycle import answering
from assistant.lifecycle.endings import Failure
from assistant.models.message import Claim
from assistant.ops import report
from assistant.worker.conversation import Conversation
from assistant.worker.flusher import Flusher
from assistant.worker.outcomes import Continued, Failed, HandedOver, Lost, Outcome, Parked, Succeeded
from assistant.worker.streaming import Answer

logger = logging.getLogger(__name__)

OBEY_SECONDS = 10.0


class Stop(enum.Enum):
    LOST = "lost"  # the row is no longer ours: stopped, deleted or taken over. Nothing is written.
    HAND_OVER = "hand over"  # this process is stopping: the turn goes back to the queue with what it has


class Turn:
    """Runs one attempt at one answer on the runner's loop. `run` never raises; `stop` may be called at any time."""

    def __init__(
        self,
        claim: Claim,
        database: Database,
        flusher: Flusher,
        on_doubt: Callable[[], None],
        on_sick: Callable[[], None],
    ) -> None:
        self.claim = claim
        self.answer = Answer(claim, flusher, on_doubt)
        self.stored_seqs = (0, 0)  # what the last checkpoint stored
        self.is_ending = False
        self.outcome: Outcome | None = None  # None: it has not ended, or could not be
        self._conversation = Conversation(claim, self.answer, database)
        self._database, self._on_sick = database, on_sick
        self._stop: Stop | None = None
        self._talk: asyncio.Task[Outcome] | None = None  # once it runs

    def stop(self, why: Stop) -> None:
        """Ends the turn early. A turn that has begun its ending is left to it; the row decides."""
        has_answer = self._talk is not None and self._talk.done()
        if self.is_ending or self._stop is Stop.LOST or (why is Stop.HAND_OVER and has_answer):
            return
        self._stop = why
        if self._talk is not None:
            self._talk.cancel()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._conversation.began

    async def run(self) -> None:
        outcome = await self._talked()
        self.is_ending = True
        try:
            self.outcome = await self._end(outcome)
        except Exception:
            logger.exception("Turn %s could not be ended; the next heartbeats put it back.", self.claim.message_id)

    async def _talked(self) -> Outcome:
        """How the conversation ended: by itself, by a stop, at the deadline, or by a fault of ours."""
        if self._stop is not None:  # before it began
            return self._stopped()
        self._talk = asyncio.create_task(self._converse(), name=f"turn {self.claim.message_id}")
        try:
            await asyncio.wait({self._talk}, timeout=conf.settings.deadline)
            if not self._talk.done():
                self._report("timeout", "the turn's deadline has passed", None)
                self._talk.cancel()
                await self._obeyed(self._talk)
                return Lost() if self._stop is Stop.LOST else Failed(Failure("timeout", _deadline_sentence()))
            if self._stop is not None and self._is_cut_off(self._talk):
                return self._stopped()
            if self._talk.cancelled():
                raise RuntimeError("the conversation was cancelled, and nobody had asked for that")
            return self._talk.result()
        except Exception as error:
            self._report("internal", repr(error), error)
            return Failed(Failure.of("internal"))

    def _is_cut_off(self, talk: asyncio.Task[Outcome]) -> bool:
        """Whether the stop has ended it. What is torn down in mid work may raise something else than what it was told."""
        if talk.cancelled():
            return True
        if (error := talk.exception()) is not None:
            logger.info("Turn %s was stopped, and ended in %r.", self.claim.message_id, error)
        return error is not None

    def _stopped(self) -> Outcome:
        return HandedOver() if self._stop is Stop.HAND_OVER else Lost()

    async def _converse(self) -> Outcome:
        try:
            return await self._conversation.hold()
        except llm.ModelError as error:
            if self._stop is not None:
                raise
            self._report(error.code, error.raw, error)
            asked = self._conversation.prompt
            return Failed(Failure(error.code, error.detail, _note(error, asked.model if asked else "")))

    async def _end(self, outcome: Outcome) -> Outcome:
        """Does what follows from `outcome`, and returns what came of it: the row decides."""
        if isinstance(outcome, Lost | Parked | Continued):  # nothing is left to be written
            await self.answer.discard()
            return outcome
        # The last piece is sent before the ending is told, so viewers have the whole partial text before an error.
        await self.answer.close()
        written, usage, asked = self.answer.written, self._conversation.usage, self._conversation.completion.asked
        match outcome:
            case HandedOver():
                ours = await self._database.call(answering.hand_over, self.claim, written)
            case Failed(failure):
                ours = await self._database.call(answering.fail, self.claim, written, failure, usage, asked)
            case Succeeded(cut):
                ours = await self._database.call(answering.succeed, self.claim, written, usage, asked, cut)
        if not ours:
            await self._database.call(answering.tell_again, self.claim.message_id)
            return Lost()
        return outcome

    async def _obeyed(self, talk: asyncio.Task[Outcome]) -> None:
        """Waits for a cancelled conversation to end. One that does not makes its process sick; the answer ends anyhow."""
        _, stuck = await asyncio.wait({talk}, timeout=OBEY_SECONDS)
        if stuck:
            logger.error("Turn %s did not end when it was told to.", self.claim.message_id)
            self._on_sick()

    def _report(self, code: str, raw: str, error: Exception | None) -> None:
        asked = self._conversation.prompt
        report.failed(
            report.Circumstances(
                claim=self.claim,
                code=code,
                model=asked.model if asked else "",
                user_id=asked.user_id if asked else None,
                seconds=self.seconds,
            ),
            raw,
            error,
        )


def _deadline_sentence() -> str:
    seconds = conf.settings.deadline
    return f"The answer took longer than {seconds:g} seconds and was ended. What was written is kept."


def _note(error: llm.ModelError, model: str) -> str:
    """For operators: what the provider said, and of a refused key which one it is."""
    if error.code != "auth":
        return error.raw
    keys = " or ".join(llm.keys_of(model)) or "its key"
    return f"Look at {keys} in the workers' environment. {error.raw}"
