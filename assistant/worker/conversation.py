"""One turn's conversation: asks the model, runs the tools that it calls, and asks again, until it has answered."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from assistant import conf, llm
from assistant.database import Database
from assistant.lifecycle import answering, budgets, rounds, steering
from assistant.lifecycle.endings import Failure
from assistant.models.message import Claim
from assistant.models.provider_state import Kept
from assistant.models.tool_call import Approval, ToolCall
from assistant.presentation import events
from assistant.prompt import context, file_contents
from assistant.toolbox.offer import Offer, offered
from assistant.worker import tool_execution
from assistant.worker.completion import Completion
from assistant.worker.outcomes import Continued, Failed, Lost, Outcome, Parked
from assistant.worker.side_outputs import SideOutputs
from assistant.worker.streaming import Answer
from assistant.worker.verdict import verdict, verdict_of_last

NOTHING = Offer()  # as long as nobody has looked
SPENT_MEANWHILE = "Today's budget was used up while this was answered. What was written is kept; go on tomorrow."


@dataclass(slots=True)
class _Said:
    """What one request to the model brought, beside its text."""

    calls: list[llm.ToolCall] = field(default_factory=list)
    kept: Mapping[str, Any] = field(default_factory=dict)  # what the provider wants back with the calls
    finish: str | None = None


class Conversation:
    """Of one attempt at one answer. `hold` may be cancelled at any time; what was written until then is in `answer`."""

    def __init__(self, claim: Claim, answer: Answer, database: Database) -> None:
        self.usage: dict[str, Any] | None = None  # of the last request; the ledger has all
        self.prompt: context.Prompt | None = None  # the last one
        self.began = time.monotonic()
        self.completion = Completion(claim, database, self._show)
        self._claim, self._answer, self._database = claim, answer, database
        self._rounds = len(claim.ends)  # rounds of tool calls that are stored
        self._side_outputs = SideOutputs(claim, database)
        self._offer = NOTHING
        self._missing: list[dict[str, str]] = []  # as it is noted

    async def hold(self) -> Outcome:
        """Talks until there is an answer, or nothing left for this attempt to do. Raises ModelError."""
        while True:
            if ended := await self._settle_calls():  # of the last round, or what an earlier attempt has left of them
                return ended
            if self._rounds and await self._database.call(budgets.is_spent_by, self._claim.message_id):
                return Failed(Failure("over_quota", SPENT_MEANWHILE))
            prompt = self.prompt = await self._next_prompt()
            if prompt is None:
                return Lost()
            is_last = False
            if self._is_slice_used_up:
                is_last = prompt.continuations >= conf.settings.continuations
                if not is_last:
                    gone = await self._database.call(rounds.continue_later, self._claim, self._answer.written)
                    return Continued() if gone else Lost()
            await self._look_for_tools(prompt)
            said = await self._ask(prompt, is_last)
            if said.finish not in llm.COMPLETE or not said.calls:
                return verdict(said.finish, is_blank=self._is_blank, parameters=prompt.parameters, usage=self.usage)
            if is_last:
                return verdict_of_last(is_blank=self._is_blank)
            if not await self._open_round(said):
                return Lost()

    async def _next_prompt(self) -> context.Prompt | None:
        """What the model is sent now. What people said meanwhile joins behind the results of the last round."""
        if self._rounds:
            await self._database.call(steering.take, self._claim, self._rounds)
        prompt = await self._database.call(context.prompt_for, self._claim, self.completion.longest_result)
        if prompt is not None and prompt.unread:
            await file_contents.prepare(prompt.unread, self._database)
            prompt = await self._database.call(context.prompt_for, self._claim, self.completion.longest_result)
        return prompt

    @property
    def _is_slice_used_up(self) -> bool:
        """Whether this job has done its share: others wait for the worker, and a deploy must not wait for us."""
        here = self._rounds - len(self._claim.ends)
        if not here:
            return False
        seconds = time.monotonic() - self.began
        return here >= conf.settings.rounds or seconds >= conf.settings.slice

    async def _ask(self, prompt: context.Prompt, is_last: bool) -> _Said:
        """What the model says to the prompt. Its text is written as it comes. Raises ModelError."""
        functions = [tool.function for tool in self._offer.tools.values()]
        said, self.usage = _Said(), None
        async with aclosing(self.completion.pieces(prompt, functions, is_last=is_last)) as pieces:
            async for piece in pieces:
                match piece:
                    case llm.Text(text):
                        self._answer.write(text)
                    case llm.Reasoning(text):
                        self._answer.reason(text)
                    case llm.WasThought():
                        await self._answer.take_as_thought()
                    case llm.ToolCall():
                        said.calls.append(piece)
                    case llm.Source():
                        self._side_outputs.cite(piece, self._rounds + 1)
                    case llm.Picture():
                        await self._keep(piece)
                    case llm.Kept(fields):
                        said.kept = fields
                    case llm.Usage(figures):
                        self.usage = figures
                    case llm.Finish(reason):
                        said.finish = reason
        await self._side_outputs.store_sources()
        return said

    async def _keep(self, picture: llm.Picture) -> None:
        if line := await self._side_outputs.keep(picture, self._rounds + 1):
            self._answer.write(f"*{line}*\n\n" if self._answer.is_blank else f"\n\n*{line}*\n\n")

    async def _look_for_tools(self, prompt: context.Prompt) -> None:
        """Sees what tools there are now, and says which are not."""
        self._offer = await offered(prompt.services, self._database)
        missing = [{"title": server.title, "why": server.why} for server in self._offer.missing]
        if missing != self._missing:
            await self._database.call(answering.note_missing, self._claim, missing)
            self._missing = missing

    async def _open_round(self, said: _Said) -> bool:
        """Stores what the model wrote and asked for. False: the answer is no longer ours."""
        written = await self._answer.end_round()
        new = [tool_execution.new_call(call, self._offer.tools) for call in said.calls]
        kept = Kept(self.completion.model, said.kept, [call.extra for call in said.calls])
        number = self._rounds + 1
        if not await self._database.call(rounds.open_round, self._claim, written, number, new, kept):
            return False
        self._rounds = number
        return True

    async def _settle_calls(self) -> Parked | Lost | None:
        """Gives each call that has no result yet its result. None: all have one, the conversation goes on."""
        while self._rounds and (waiting := await self._database.call(rounds.open_calls, self._claim)):
            ready = [call for call in waiting if call.approval != Approval.ASKED]
            if ready:
                is_ours = await self._run_calls(ready)
            else:
                parked = await self._database.call(rounds.park, self._claim, self._answer.written)
                if parked:
                    return Parked()
                is_ours = parked is not None
            if not is_ours:
                return Lost()
        return None

    async def _run_calls(self, ready: list[ToolCall]) -> bool:
        """Runs calls side by side; each result is stored as soon as it is there. False: the answer is no longer ours."""
        prompt = self.prompt or await self._database.call(context.prompt_for, self._claim)
        if prompt is None or not await self._database.call(rounds.begin_calls, self._claim, ready):
            return False
        if self._offer is NOTHING:  # the round is an earlier attempt's: what it called is worth waiting for
            self._offer = await offered(prompt.services, self._database, called=[call.name for call in ready])
        known = tool_execution.context_of(self._claim, prompt)
        ends_at = self.began + conf.settings.deadline
        bench = tool_execution.CallRunner(self._claim, self._offer, known, self._database, ends_at)
        held = []

        async def settle(call: ToolCall, result: rounds.CallResult) -> None:
            held.append(await self._database.call(rounds.settle, self._claim, call, result))

        await bench.run(ready, settle)
        return all(held)

    async def _show(self, text: str) -> None:
        self._answer.break_off()
        await events.turn_status(self._claim, text)

    @property
    def _is_blank(self) -> bool:
        """Whether this round has brought nothing that an answer is made of."""
        return self._answer.is_blank and not self._side_outputs.has_picture(self._rounds + 1)
