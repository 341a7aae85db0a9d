"""One turn: from a claim to an ending, as a story. It knows no HTTP and no queue."""

from __future__ import annotations

import asyncio
import enum
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import redis.asyncio

from assistant import conf, llm
from assistant.database import Database
from assistant.failures import CUTS, sentence
from assistant.lifecycle import answering, ledger, rounds, steering
from assistant.lifecycle.answering import Failure
from assistant.models.message import Claim, Cut
from assistant.models.provider_state import Kept
from assistant.models.tool_call import Approval, ToolCall
from assistant.ops import report
from assistant.presentation import events
from assistant.prompt import context, file_contents
from assistant.toolbox.offer import Offer, offered
from assistant.worker import tool_execution
from assistant.worker.completion import Inquiry
from assistant.worker.side_outputs import Beside
from assistant.worker.streaming import Answer

logger = logging.getLogger(__name__)

OBEY_SECONDS = 10.0
NOTHING = Offer()  # as long as nobody has looked


class Stop(enum.Enum):
    LOST = "lost"  # the row is no longer ours: stopped, deleted or taken over. Nothing is written.
    LET_GO = "let go"  # we have put it down in order: it waits for an approval, or goes on in a fresh job
    HAND_OVER = "hand over"  # this process is stopping: the turn goes back to the queue with what it has


TOO_MANY_ROUNDS = (
    "The model went on asking for tools and gave no answer. What it did is kept; ask for less at once, or try again."
)
LIMIT_TOO_LOW = (
    "The longest answer that this session’s settings allow was used up before the first word, by what the model thought. "
    "Allow a longer one."
)
LIMIT_SHARE = 0.9  # of the limit; some providers stop a little before it
NOT_OURS = "no longer ours, it was stopped, deleted or taken over"
SPENT_MEANWHILE = "Today's budget was used up while this was answered. What was written is kept; go on tomorrow."


@dataclass(slots=True)
class _Said:
    """What one request to the model brought, beside its text."""

    calls: list[llm.ToolCall] = field(default_factory=list)
    kept: Mapping[str, Any] = field(default_factory=dict)  # what the provider wants back with the calls
    finish: str | None = None


class Turn:
    """Runs one attempt at one answer on the runner's loop. `run` never raises; `stop` may be called at any time."""

    def __init__(
        self,
        claim: Claim,
        database: Database,
        client: redis.asyncio.Redis,
        on_doubt: Callable[[], None],
        on_sick: Callable[[], None],
        prompt: Future[context.Prompt | None] | None = None,
    ) -> None:
        self.claim = claim
        self.began = time.monotonic()
        self.answer = Answer(claim, client, on_doubt)
        self._database = database
        self._on_sick = on_sick
        self._usage: dict[str, Any] | None = None  # of the last request; the ledger has all
        self._cut: Cut | None = None
        self._rounds = len(claim.ends)  # rounds of tool calls that are stored
        self.stored_seqs = (0, 0)  # what the last checkpoint stored
        self.is_ending = False
        self.outcome = "it could not be ended"  # in a few words, for the log
        self._inquiry = Inquiry(claim, database, self._show)
        self._beside = Beside(claim, database)
        self._first_prompt = prompt  # if it is made elsewhere
        self._prompt: context.Prompt | None = None
        self._offer = NOTHING
        self._missing: list[dict[str, str]] = []  # as it is noted
        self._stop: Stop | None = None
        self._talk = asyncio.create_task(self._converse(), name=f"turn {claim.message_id}")

    def stop(self, why: Stop) -> None:
        """Ends the turn early. A turn that has begun its ending is left to it; the row decides."""
        if self.is_ending or self._stop in (Stop.LOST, Stop.LET_GO):
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
            elif self._talk.cancelled() and self._stop is None:
                raise RuntimeError("the conversation was cancelled, and nobody had asked for that")
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
        """Asks the model, runs the tools that it calls, and asks again, until it has answered.

        Returns None if that makes a whole answer, or if there is nothing left for this attempt to do (`_stop` says why).
        """
        while True:
            if not await self._settle_calls():  # those of the last round, or what an earlier attempt has left of them
                return None
            if self._rounds and await self._database.call(ledger.is_spent_by, self.claim.message_id):
                return Failure("over_quota", SPENT_MEANWHILE)
            prompt = self._prompt = await self._next_prompt()
            if prompt is None:
                self._stop = Stop.LOST
                return None
            is_last = False
            if self._is_slice_used_up:
                is_last = prompt.continuations >= conf.get("ASSISTANT_CONTINUATIONS")
                if not is_last:
                    gone = await self._database.call(rounds.continue_later, self.claim, self.answer.written)
                    self._stop = Stop.LET_GO if gone else Stop.LOST
                    return None
            await self._look_for_tools(prompt)
            try:
                said = await self._ask(prompt, is_last)
            except llm.ModelError as error:
                self._report(error.code, error.raw, error)
                return Failure(error.code, error.detail, _note(error, prompt.model))
            if said.finish not in llm.COMPLETE or not said.calls:
                return self._judge(said.finish, prompt.parameters)
            if is_last:
                return self._judge_last()
            if not await self._open_round(said):
                return None

    async def _next_prompt(self) -> context.Prompt | None:
        """What the model is sent now. What people said meanwhile joins behind the results of the last round."""
        if self._rounds:
            await self._database.call(steering.take, self.claim, self._rounds)
        coming, self._first_prompt = self._first_prompt, None
        prompt = await asyncio.wrap_future(coming) if coming is not None and not self._rounds else None
        if prompt is None:
            prompt = await self._database.call(context.prompt_for, self.claim, self._inquiry.longest_result)
        if prompt is not None and prompt.unread:
            await file_contents.prepare(prompt.unread, self._database)
            prompt = await self._database.call(context.prompt_for, self.claim, self._inquiry.longest_result)
        return prompt

    @property
    def _is_slice_used_up(self) -> bool:
        """Whether this job has done its share: others wait for the worker, and a deploy must not wait for us."""
        here = self._rounds - len(self.claim.ends)
        if not here:
            return False
        return here >= conf.get("ASSISTANT_ROUNDS") or self.seconds >= conf.get("ASSISTANT_SLICE")

    async def _ask(self, prompt: context.Prompt, is_last: bool) -> _Said:
        """What the model says to the prompt. Its text is written as it comes. Raises ModelError."""
        functions = [tool.function for tool in self._offer.tools.values()]
        said, self._usage = _Said(), None
        async with aclosing(self._inquiry.pieces(prompt, functions, is_last=is_last)) as pieces:
            async for piece in pieces:
                match piece:
                    case llm.Text(text):
                        self.answer.write(text)
                    case llm.Reasoning(text):
                        self.answer.reason(text)
                    case llm.ToolCall():
                        said.calls.append(piece)
                    case llm.Source():
                        self._beside.cite(piece, self._rounds + 1)
                    case llm.Picture():
                        await self._keep(piece)
                    case llm.Kept(fields):
                        said.kept = fields
                    case llm.Usage(figures):
                        self._usage = figures
                    case llm.Finish(reason):
                        said.finish = reason
        await self._beside.store_sources()
        return said

    async def _keep(self, picture: llm.Picture) -> None:
        if line := await self._beside.keep(picture, self._rounds + 1):
            self.answer.write(f"*{line}*\n\n" if self.answer.is_blank else f"\n\n*{line}*\n\n")

    async def _look_for_tools(self, prompt: context.Prompt) -> None:
        """Sees what tools there are now, and says which are not."""
        self._offer = await offered(prompt.services, self._database)
        missing = [{"title": server.title, "why": server.why} for server in self._offer.missing]
        if missing != self._missing:
            await self._database.call(answering.note_missing, self.claim, missing)
            self._missing = missing

    async def _open_round(self, said: _Said) -> bool:
        """Stores what the model wrote and asked for. False: the answer is no longer ours."""
        written = await self.answer.end_round()
        new = [tool_execution.new_call(call, self._offer.tools) for call in said.calls]
        kept = Kept(self._inquiry.model, said.kept, [call.extra for call in said.calls])
        number = self._rounds + 1
        if not await self._database.call(rounds.open_round, self.claim, written, number, new, kept):
            self._stop = Stop.LOST
            return False
        self._rounds = number
        return True

    async def _settle_calls(self) -> bool:
        """Gives each call that has no result yet its result. False: this attempt is over, `_stop` says why."""
        while self._rounds and (waiting := await self._database.call(rounds.open_calls, self.claim)):
            ready = [call for call in waiting if call.approval != Approval.ASKED]
            if ready:
                is_ours = await self._run_calls(ready)
            else:
                parked = await self._database.call(rounds.park, self.claim, self.answer.written)
                is_ours = parked is not None
                if parked:
                    self._stop = Stop.LET_GO
                    return False
            if not is_ours:
                self._stop = Stop.LOST
                return False
        return True

    async def _run_calls(self, ready: list[ToolCall]) -> bool:
        """Runs calls side by side; each outcome is stored as soon as it is there. False: the answer is no longer ours."""
        prompt = self._prompt or await self._database.call(context.prompt_for, self.claim)
        if prompt is None or not await self._database.call(rounds.begin_calls, self.claim, ready):
            return False
        if self._offer is NOTHING:  # the round is an earlier attempt's: what it called is worth waiting for
            self._offer = await offered(prompt.services, self._database, called=[call.name for call in ready])
        known = tool_execution.context_of(self.claim, prompt)
        ends_at = self.began + conf.get("ASSISTANT_DEADLINE")
        bench = tool_execution.Bench(self.claim, self._offer, known, self._database, ends_at)
        held = []

        async def settle(call: ToolCall, outcome: rounds.Outcome) -> None:
            held.append(await self._database.call(rounds.settle, self.claim, call, outcome))

        await bench.run(ready, settle)
        return all(held)

    async def _show(self, text: str) -> None:
        self.answer.break_off()
        await events.turn_status(self.claim, text)

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

    @property
    def _is_blank(self) -> bool:
        """Whether this round has brought nothing that an answer is made of."""
        return self.answer.is_blank and not self._beside.has_picture(self._rounds + 1)

    def _judge(self, finish: str | None, parameters: Mapping[str, Any]) -> Failure | None:
        """Whether what the model sent, and how it ended, is an answer."""
        if finish == "length" and self._is_at_limit_of(parameters):
            if self._is_blank:
                return Failure("incomplete_response", LIMIT_TOO_LOW)
            self._cut = Cut.LIMIT
            return None
        if finish in ("content_filter", "refusal"):
            code = "refusal" if finish == "refusal" else "content_filtered"
            return Failure(code, sentence(code))
        if self._is_blank and finish not in CUTS:
            return Failure("empty_response", sentence("empty_response"))
        if finish not in llm.COMPLETE:
            return Failure("incomplete_response", CUTS.get(finish or "", sentence("incomplete_response")))
        return None

    def _is_at_limit_of(self, parameters: Mapping[str, Any]) -> bool:
        """Whether what cut the answer is the limit that its people have set, and not a lower one of the model's own."""
        limit = parameters.get("max_completion_tokens") or parameters.get("max_tokens") or 0
        written = (self._usage or {}).get("completion_tokens") or limit
        return bool(limit) and written >= LIMIT_SHARE * limit

    def _judge_last(self) -> Failure | None:
        """The model was asked to answer without tools, and asked for tools."""
        return None if not self._is_blank else Failure("incomplete_response", TOO_MANY_ROUNDS)

    async def _end(self, failure: Failure | None) -> None:
        if self._stop in (Stop.LOST, Stop.LET_GO):
            await self.answer.discard()
            self.outcome = "let go, it waits or goes on in a fresh job" if self._stop is Stop.LET_GO else NOT_OURS
            return
        # The last piece is sent before the ending is told, so viewers have the whole partial text before an error.
        await self.answer.close()
        written, asked = self.answer.written, self._inquiry.asked
        if self._stop is Stop.HAND_OVER:
            self.outcome = "handed over to another worker"
            ours = await self._database.call(answering.hand_over, self.claim, written)
        elif failure is not None:
            self.outcome = f"failed, {failure.code}"
            ours = await self._database.call(answering.fail, self.claim, written, failure, self._usage, asked)
        else:
            self.outcome = "success"
            ours = await self._database.call(answering.succeed, self.claim, written, self._usage, asked, self._cut)
        if not ours:
            self.outcome = NOT_OURS
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


def _note(error: llm.ModelError, model: str) -> str:
    """For operators: what the provider said, and of a refused key which one it is."""
    if error.code != "auth":
        return error.raw
    keys = " or ".join(llm.keys_of(model)) or "its key"
    return f"Look at {keys} in the workers' environment. {error.raw}"
