"""The slow lane: litellm sends the request and reads the stream."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from assistant import conf
from assistant.llm import facts, finish_reasons, limits, litellm_internals
from assistant.llm.fields import MOST_FIELDS_REFUSED, unsupported_field, without
from assistant.llm.library import library
from assistant.llm.openai_chat import ChatReader
from assistant.llm.question import Question
from assistant.llm.reader import Raw

logger = logging.getLogger(__name__)

LOOP_SHARE_SECONDS = 0.005


async def stream(question: Question) -> AsyncGenerator[Raw, None]:
    """Asks by litellm, whose chunks are in OpenAI's form, and are read as such."""
    reader = ChatReader()
    yielded_at = time.monotonic()
    response = await _opened(question)
    reasons = _Reasons(response)
    try:
        async for chunk in response:
            for piece in reader.event("", _without_reason(chunk.model_dump(exclude_none=True))):
                yield piece
            if time.monotonic() - yielded_at > LOOP_SHARE_SECONDS:
                # Chunks that are already here are read without ever waiting: a fast model would starve the others.
                await asyncio.sleep(0)
                yielded_at = time.monotonic()
        reader.end_said(reasons.last)
        for piece in reader.end():
            yield piece
    finally:
        # Without this the provider goes on sending until the garbage collector comes by, which may be never.
        await _close(response)


async def _opened(question: Question) -> Any:
    """litellm's answer, of which nothing has been read. A server that refuses a field is asked again without it."""
    fields: dict[str, Any] = dict(question.parameters) | _offer(question.tools)
    fields["stream_options"] = {"include_usage": True}
    for _ in range(MOST_FIELDS_REFUSED):
        try:
            return await _asked(question, fields)
        except Exception as error:
            refusal = getattr(error, "body", None) or str(error)
            if found := limits.lowered(fields, refusal):
                fields, limit = found
                if limit is not None:
                    facts.note_output_limit(question.model, limit)
                continue
            field = unsupported_field(getattr(error, "status_code", None), refusal, fields)
            if field is None:
                raise
            fields = without(fields, field, refusal)
    return await _asked(question, fields)


async def _asked(question: Question, fields: dict[str, Any]) -> Any:
    litellm_internals.look_at_redirects()
    return await library().acompletion(
        **fields,
        model=question.model,
        messages=question.messages,
        stream=True,
        timeout=conf.settings.timeout,  # litellm's is the silence between two reads, not the whole
        max_retries=0,  # by default it sends a request up to three times; retrying is ours
        drop_params=True,
    )


def _without_reason(chunk: dict[str, Any]) -> dict[str, Any]:
    """Where a stream ends without a reason litellm makes one up, and it moves those of Gemini."""
    for choice in chunk.get("choices") or ():
        choice.pop("finish_reason", None)
    return chunk


class _Reasons:
    """Why the model stopped, as its provider said it.

    litellm's word for each piece of Gemini's text is `stop`, with a reason or without: what Gemini says is noted on its way
    into litellm.
    """

    def __init__(self, response: Any) -> None:
        self._response = response
        self._seen: Any = None
        litellm_internals.watch_chunks(response, self._note)

    @property
    def last(self) -> Any:
        return getattr(self._response, "received_finish_reason", None) or self._seen

    def _note(self, chunk: Any) -> None:
        if not isinstance(chunk, Mapping):
            return
        for candidate in chunk.get("candidates") or ():
            self._seen = candidate.get("finishReason") or self._seen
        if (chunk.get("promptFeedback") or {}).get("blockReason"):
            self._seen = finish_reasons.CONTENT_FILTER


def _offer(tools: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Without the flag litellm looks whether the tools are those of its own proxy, for which it imports that proxy."""
    return {"tools": list(tools), "_skip_mcp_handler": True} if tools else {}


async def _close(response: Any) -> None:
    try:
        await response.aclose()
    except Exception as error:
        logger.debug("Closing a model's stream: %s", error)
