"""How one turn asks models: again where they fail, within what they can read, noting the cost and what was tried."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from assistant import llm
from assistant.database import Database
from assistant.lifecycle.endings import AskedModels
from assistant.llm.pieces import ModelError, Piece, has_begun
from assistant.models.message import Claim
from assistant.models.user_id import UserId
from assistant.ops.report import redacted
from assistant.prompt import context
from assistant.prompt.history import tools_called
from assistant.worker import compaction
from assistant.worker.metering import metered
from assistant.worker.retries import Messages, Pause, RetryPolicy, Switch

logger = logging.getLogger(__name__)

WITHOUT_TOOLS = (
    "You have used up the rounds of tools that one answer may have. Answer now with what you know, without any tool, and "
    "say what is left undone."
)
SUMMARISING = "Summarising the earlier conversation…"
SHORT_RESULTS = (2_000, 300)  # characters of a tool's result, by the number of the try


class Completion:
    """Of one turn. `show` tells the viewers what is being waited for, in a line that nobody stores."""

    def __init__(self, claim: Claim, database: Database, show: Callable[[str], Awaitable[None]]) -> None:
        self.longest_result: int | None = None  # for the prompts of this turn
        self._claim, self._database, self._show = claim, database, show
        self._policy: RetryPolicy | None = None
        self._user_id: UserId = None
        self._has_caught_up = False

    @property
    def asked(self) -> AskedModels | None:
        """What is stored of it with the answer; None: nobody was asked."""
        if self._policy is None:
            return None
        tried = [one.as_json() for one in self._policy.tried]
        return AskedModels(self._policy.model, tried, is_heard=self._policy.is_heard)

    @property
    def model(self) -> str:
        """The model that was asked last: whose answer it is."""
        return self._policy.model if self._policy else ""

    async def pieces(
        self, prompt: context.Prompt, functions: Sequence[dict[str, Any]], *, is_last: bool
    ) -> AsyncGenerator[Piece, None]:
        """What a model answers to `prompt`. Raises ModelError.

        Where the prompt is too long, older history is summarised first, or after the refusal, at most twice; so it is where
        the prompt leaves some out.
        """
        if self._policy is None:
            self._policy = RetryPolicy(prompt.model, self._ask_once)
        self._user_id = prompt.user_id
        if prompt.is_cut and not self._has_caught_up:
            self._has_caught_up = True  # once in a turn, whatever comes of it
            prompt = await self._caught_up(prompt)
        if await compaction.is_near_limit(self._policy.model, prompt.messages):
            prompt = await self._shorter(prompt, 0) or prompt
        for tries in (0, 1, 2):
            is_said = False
            try:
                async with aclosing(self._request(prompt, functions, is_last=is_last)) as pieces:
                    async for piece in pieces:
                        is_said = has_begun(is_said, piece)
                        yield piece
                return
            except ModelError as error:
                is_too_long = error.code == "context_overflow" and not is_said
                shorter = await self._shorter(prompt, tries) if is_too_long and tries < 2 else None
                if shorter is None:
                    raise
                prompt = shorter

    async def _request(
        self, prompt: context.Prompt, functions: Sequence[dict[str, Any]], *, is_last: bool
    ) -> AsyncGenerator[Piece, None]:
        assert self._policy is not None
        messages, parameters = prompt.messages, dict(prompt.parameters)
        declared = functions or tools_called(messages)
        if declared and (is_last or not functions):
            parameters["tool_choice"] = "none"
        if is_last:
            messages = _noted(messages, WITHOUT_TOOLS)
        async with aclosing(self._policy.stream(messages, tools=declared, parameters=parameters)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Pause | Switch):
                    await self._show(_sentence(piece))
                else:
                    yield piece

    async def _shorter(self, prompt: context.Prompt, tries: int) -> context.Prompt | None:
        """A prompt that says the same in fewer words, or None if there is nothing to leave out."""
        is_shorter = await self._has_summarised((compaction.FIRST_SHARE, compaction.SECOND_SHARE)[tries])
        if any(message["role"] == "tool" for message in prompt.messages):
            is_shorter = True
            self.longest_result = SHORT_RESULTS[tries]
        return await self._prompt_anew() if is_shorter else None

    async def _caught_up(self, prompt: context.Prompt) -> context.Prompt:
        """A prompt that leaves nothing out for which no summary stands, if there can be one."""
        return (await self._has_summarised(compaction.FIRST_SHARE) and await self._prompt_anew()) or prompt

    async def _has_summarised(self, share: float) -> bool:
        assert self._policy is not None
        await self._show(SUMMARISING)
        try:
            return await compaction.compact(self._claim, self._policy.model, self._ask_once, self._database, share)
        except ModelError as error:  # then the answer fails with what the provider says of the whole, or does without
            logger.warning("No summary for answer %s: %s", self._claim.message_id, redacted(error.raw))
            return False

    async def _prompt_anew(self) -> context.Prompt | None:
        return await self._database.call(context.prompt_for, self._claim, self.longest_result)

    def _ask_once(
        self, model: str, messages: Messages, tools: Sequence[dict[str, Any]], parameters: Mapping[str, Any]
    ) -> AsyncGenerator[Piece, None]:
        stream = llm.stream(model, messages, tools=tools, parameters=parameters)
        return metered(stream, self._claim, model, messages, self._database, self._user_id, tools)


def _noted(messages: Messages, note: str) -> Messages:
    """`messages` with a note of the system's, in its one message: no server takes a second, and the last is a result."""
    told = messages[0]["content"] if messages and messages[0]["role"] == "system" else ""
    content = f"{told}\n\n{note}" if told else note
    return [{"role": "system", "content": content}, *messages[1 if told else 0 :]]


def _sentence(step: Pause | Switch) -> str:
    if isinstance(step, Pause):
        what = "is busy" if step.code == "rate_limited" else "has a problem"
        return f"The model’s provider {what}. Asking again in {max(1, round(step.seconds))} s…"
    return f"Asking another model, {step.model}…"
