"""One turn: from a claim to an ending, as a story. It knows no HTTP and no queue."""

from __future__ import annotations

import asyncio
import enum
import logging
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import redis.asyncio

from assistant import conf, context, llm, report
from assistant.answer import Answer
from assistant.database import Database
from assistant.failures import sentence
from assistant.lifecycle import answering
from assistant.lifecycle.answering import Failure
from assistant.metering import metered
from assistant.models.message import Claim

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
        client: redis.asyncio.Redis,
        on_doubt: Callable[[], None],
        on_sick: Callable[[], None],
    ) -> None:
        self.claim = claim
        self.began = time.monotonic()
        self.answer = Answer(claim, client, on_doubt)
        self._database = database
        self._on_sick = on_sick
        self._usage: dict[str, Any] | None = None
        self.stored_seq = 0  # what the last checkpoint stored
        self.is_ending = False
        self._prompt: context.Prompt | None = None
        self._stop: Stop | None = None
        self._talk = asyncio.create_task(self._converse(), name=f"turn {claim.message_id}")

    def stop(self, why: Stop) -> None:
        """Ends the turn early. A turn that has begun its ending is left to it; the row decides."""
        if self.is_ending or self._stop is Stop.LOST:
            return
        if why is Stop.HAND_OVER and self._talk.done():
            return  # it has a whole answer
        self._stop = why
        self._talk.cancel()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    async def run(self) -> None:
        failure: Failure | None = None
        try:
            await asyncio.wait({self._talk}, timeout=conf.get("ASSISTANT_DEADLINE"))
            if not self._talk.done():
                self._report("timeout", "the turn's deadline has passed", None)
                self._talk.cancel()
                await self._obeyed()
                failure = Failure("timeout", self._deadline_sentence())
            elif not self._talk.cancelled():
                failure = self._talk.result()
        except Exception as error:
            self._report("internal", repr(error), error)
            failure = Failure("internal", sentence("internal"))
        self.is_ending = True
        try:
            await self._end(failure)
        except Exception:
            logger.exception("Turn %s could not be ended; the next heartbeats put it back.", self.claim.message_id)

    async def _converse(self) -> Failure | None:
        """Asks the model and writes what it sends. Returns None if that makes a whole answer."""
        prompt = self._prompt = await self._database.call(context.prompt_for, self.claim)
        if prompt is None:
            self._stop = Stop.LOST
            return None
        finish: str | None = None
        try:
            stream = llm.stream(prompt.model, prompt.messages, parameters=prompt.parameters)
            watched = metered(stream, self.claim, prompt.model, prompt.messages, self._database, prompt.user_id)
            async with aclosing(watched) as pieces:
                async for piece in pieces:
                    match piece:
                        case llm.Text(text):
                            self.answer.write(text)
                        case llm.Usage(figures):
                            self._usage = figures
                        case llm.Finish(reason):
                            finish = reason
        except llm.ModelError as error:
            self._report(error.code, error.raw, error)
            return Failure(error.code, error.detail)
        return self._judge(finish)

    def _report(self, code: str, raw: str, error: Exception | None) -> None:
        asked = self._prompt
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

    def _judge(self, finish: str | None) -> Failure | None:
        """Whether what the model sent, and how it ended, is an answer."""
        if finish == "content_filter":
            return Failure("content_filtered", sentence("content_filtered"))
        if self.answer.is_blank:
            return Failure("empty_response", sentence("empty_response"))
        if finish not in llm.COMPLETE:
            return Failure("incomplete_response", sentence("incomplete_response"))
        return None

    async def _end(self, failure: Failure | None) -> None:
        if self._stop is Stop.LOST:
            await self.answer.discard()
            return
        # The last piece is sent before the ending is told, so viewers have the whole partial text before an error.
        await self.answer.close()
        written = self.answer.written
        if self._stop is Stop.HAND_OVER:
            ours = await self._database.call(answering.hand_over, self.claim, written)
        elif failure is not None:
            ours = await self._database.call(answering.fail, self.claim, written, failure, self._usage)
        else:
            ours = await self._database.call(answering.succeed, self.claim, written, self._usage)
        if not ours:
            await self._database.call(answering.tell_again, self.claim.message_id)

    async def _obeyed(self) -> None:
        """Waits for a cancelled conversation to end. One that does not makes its process sick; the answer ends anyhow."""
        _, stuck = await asyncio.wait({self._talk}, timeout=OBEY_SECONDS)
        if stuck:
            logger.error("Turn %s did not end when it was told to.", self.claim.message_id)
            self._on_sick()

    def _deadline_sentence(self) -> str:
        seconds = conf.get("ASSISTANT_DEADLINE")
        return f"The answer took longer than {seconds:g} seconds and was ended. What was written is kept."
