"""The slow lane: litellm sends the request and reads the stream."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from assistant import conf
from assistant.llm import money
from assistant.llm.calls import Fragments
from assistant.llm.library import library
from assistant.llm.question import Question
from assistant.pieces import Finish, Piece, Text, Usage

logger = logging.getLogger(__name__)

LOOP_SHARE_SECONDS = 0.005


async def stream(question: Question) -> AsyncGenerator[Piece, None]:
    litellm, response = library(), None
    finish: str | None = None
    calls = Fragments()
    yielded_at = time.monotonic()
    try:
        response = await litellm.acompletion(
            **question.parameters,
            **_offer(question.tools),
            model=question.model,
            messages=question.messages,
            stream=True,
            stream_options={"include_usage": True},
            timeout=conf.get("ASSISTANT_TIMEOUT"),  # litellm's is the silence between two reads, not the whole
            max_retries=0,  # by default it sends a request up to three times; retrying is ours
            drop_params=True,
        )
        async for chunk in response:
            for choice in chunk.choices[:1]:
                if choice.delta is not None and choice.delta.content:
                    yield Text(choice.delta.content)
                for part in (choice.delta and choice.delta.tool_calls) or ():
                    calls.add(part.index, part.id, part.function.name, part.function.arguments)
                finish = choice.finish_reason or finish
            if usage := getattr(chunk, "usage", None):
                yield Usage(money.figures(question.model, usage.model_dump()))
            if time.monotonic() - yielded_at > LOOP_SHARE_SECONDS:
                # Chunks that are already here are read without ever waiting: a fast model would starve the others.
                await asyncio.sleep(0)
                yielded_at = time.monotonic()
        # Where a stream ends without a reason litellm makes one up; this is what really came.
        finish = getattr(response, "received_finish_reason", finish)
        for call in calls.whole():
            yield call
        if finish:
            yield Finish(finish)
    finally:
        # Without this the provider goes on sending until the garbage collector comes by, which may be never.
        if response is not None:
            await _close(response)


def _offer(tools: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Without the flag litellm looks whether the tools are those of its own proxy, for which it imports that proxy."""
    return {"tools": list(tools), "_skip_mcp_handler": True} if tools else {}


async def _close(response: Any) -> None:
    try:
        await response.aclose()
    except Exception as error:
        logger.debug("Closing a model's stream: %s", error)
