"""The models, through litellm: a stream of typed pieces, and errors in our own categories.

litellm says whom to ask, and how. The protocols that most people use are read by `assistant.llm.lane`, for far less CPU;
the others by litellm. What an error means is told from what the provider says.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from types import MappingProxyType
from typing import Any

from assistant import conf
from assistant.llm import by_litellm, caching, dialect, lane, limits, money, requests, side_thread
from assistant.llm.cleaning import Cleaning
from assistant.llm.errors import translated
from assistant.llm.facts import count, keys_of, learn, limit, note_output_limit, output_limit, sees
from assistant.llm.money import cost, extended, is_priced
from assistant.llm.pieces import (
    Finish,
    Kept,
    ModelError,
    Picture,
    Piece,
    Reasoning,
    Source,
    Text,
    ToolCall,
    Usage,
    WasThought,
)
from assistant.llm.question import Question
from assistant.llm.reader import Raw
from assistant.llm.tokens import BYTES_PER_TOKEN, weight
from assistant.llm.warming import preload

__all__ = [
    "BYTES_PER_TOKEN", "COMPLETE", "Finish", "Kept", "ModelError", "Picture", "Piece", "Reasoning", "Source", "Text",
    "ToolCall", "Usage", "WasThought", "close", "cost", "count", "extended", "is_priced", "keys_of", "learn", "limit",
    "note_output_limit", "output_limit", "preload", "sees", "stream", "weight",
]  # fmt: skip

# Reasons to finish that make a whole answer; `other` is a word that nobody knows, for an end that came in order.
COMPLETE = frozenset({"stop", "tool_calls", "function_call", "other"})


async def stream(
    model: str,
    messages: list[dict[str, Any]],
    *,
    tools: Sequence[dict[str, Any]] = (),
    parameters: Mapping[str, Any] = MappingProxyType({}),
) -> AsyncGenerator[Piece, None]:
    """Asks `model` (a litellm id) and yields what it sends, as it comes; calls of tools once each when they are whole.

    `messages` are in OpenAI's chat format, `tools` in that of its functions; `parameters` (temperature, ...) are passed
    on, and what the model does not know of them is left out. Whatever the messages, they are sent as this model takes them
    (see `assistant.llm.dialect`). After ASSISTANT_TIMEOUT seconds without a byte it ends; how long it may take as a whole
    is the caller's affair. Closing the iterator, or cancelling the task that reads it, closes the provider's connection at
    once. Raises ModelError, nothing else.
    """
    cleaning, counting = Cleaning(), money.Counting(model)
    try:
        await learn(model)
        question = _question(model, messages, tools, parameters)
        request = await _request_of(question) if conf.settings.fast_lane else None
        if request is None:
            requests.check_settings(model)
        source = lane.stream(request, conf.settings.timeout) if request else _by_litellm(question)
        async with aclosing(source) as pieces:
            async for raw in pieces:
                for piece in counting.counted(raw):
                    for whole in cleaning.cleaned(piece):
                        yield whole
        for piece in (*counting.rest(), *cleaning.rest()):
            yield piece
    except (asyncio.CancelledError, GeneratorExit, ModelError):
        raise
    except Exception as error:
        for piece in counting.rest():
            yield piece
        raise translated(error) from error


def _question(
    model: str, messages: list[dict[str, Any]], tools: Sequence[dict[str, Any]], parameters: Mapping[str, Any]
) -> Question:
    if not dialect.may_think(model, messages):
        parameters = dialect.without_thinking(parameters)
    lines = dialect.adapted(model, messages, sees=sees(model))
    if caching.takes_marks(model):
        lines, tools = caching.with_cache_marks(lines, tools)
    return Question(model, lines, tools, limits.fitting(model, lines, tools, parameters))


async def _request_of(question: Question) -> lane.Request | None:
    if requests.takes_long(question):
        async with asyncio.timeout(conf.settings.timeout):
            return await side_thread.called(_provider(question.model), requests.request_of, question)
    return requests.request_of(question)


def _by_litellm(question: Question) -> AsyncGenerator[Raw, None]:
    return side_thread.streamed(_provider(question.model), lambda: by_litellm.stream(question))


def _provider(model: str) -> str:
    return model.partition("/")[0]


async def close() -> None:
    """Closes what is kept open for the running loop between two calls."""
    await lane.close()
