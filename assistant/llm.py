"""The models, through litellm: a stream of typed pieces, and errors in our own categories.

This is the only module that imports litellm, and it does so on first use: the import takes seconds and 180 MB, and the
web server and the management commands never need it. `preload` is for the process that the workers are forked from.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import httpx

from assistant import catalogue, conf, demo
from assistant.pieces import Finish, Fragments, ModelError, Piece, Text, ToolCall, Usage

__all__ = ["COMPLETE", "Finish", "ModelError", "Piece", "Text", "ToolCall", "Usage", "preload", "stream"]

logger = logging.getLogger(__name__)

COMPLETE = frozenset({"stop", "tool_calls", "function_call"})  # reasons to finish that make a whole answer


async def stream(
    model: str,
    messages: list[dict[str, Any]],
    *,
    tools: Sequence[dict[str, Any]] = (),
    parameters: Mapping[str, Any] = MappingProxyType({}),
) -> AsyncGenerator[Piece, None]:
    """Asks `model` (a litellm id) and yields what it sends, as it comes; calls of tools once each when they are whole.

    `messages` are in OpenAI's chat format, `tools` in that of its functions; `parameters` (temperature, ...) are passed
    on, and what the model does not know of them is left out. After ASSISTANT_TIMEOUT seconds without a byte it ends; how
    long it may take as a whole is the caller's affair. Closing the iterator, or cancelling the task that reads it, closes
    the provider's connection at once. Raises ModelError, nothing else.
    """
    litellm = library()
    response: Any = None
    finish: str | None = None
    calls = Fragments()
    yielded_at = time.monotonic()
    try:
        response = await litellm.acompletion(
            **parameters,
            **_offer(tools),
            model=model,
            messages=messages,
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
                yield Usage(_figures(litellm, model, usage))
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
    except (asyncio.CancelledError, GeneratorExit, ModelError):
        raise
    except Exception as error:
        raise _translated(litellm, error) from error
    finally:
        # Without this the provider goes on sending until the garbage collector comes by, which may be never.
        if response is not None:
            await _close(response)


LOOP_SHARE_SECONDS = 0.005


def _offer(tools: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Without the flag litellm looks whether the tools are those of its own proxy, for which it imports that proxy."""
    return {"tools": list(tools), "_skip_mcp_handler": True} if tools else {}


async def _close(response: Any) -> None:
    try:
        await response.aclose()
    except Exception as error:
        logger.debug("Closing a model's stream: %s", error)


def _figures(litellm: Any, model: str, usage: Any) -> dict[str, Any]:
    try:
        prompt_cost, completion_cost = litellm.cost_per_token(
            model=model, prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens
        )
        cost: float | None = prompt_cost + completion_cost
    except Exception:  # litellm knows no price for this model
        cost = None
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "cost": cost,
    }


def _translated(litellm: Any, error: Exception) -> ModelError:
    """One of our categories for whatever litellm or the network raised."""
    raw = f"{type(error).__name__}: {error}"[:2000]
    # An error in mid stream is wrapped; what happened is inside, and a network error is inside that one's context.
    inner = getattr(error, "original_exception", None) or error
    chain = [error, inner, inner.__context__, inner.__cause__]
    # The order matters: litellm's classes are subclasses of each other.
    categories: tuple[tuple[str, tuple[type[BaseException], ...]], ...] = (
        ("timeout", (litellm.Timeout, httpx.TimeoutException, TimeoutError)),
        ("context_overflow", (litellm.ContextWindowExceededError,)),
        ("content_filtered", (litellm.ContentPolicyViolationError,)),
        ("rate_limited", (litellm.RateLimitError,)),
        ("auth", (litellm.AuthenticationError, litellm.PermissionDeniedError)),
        ("invalid_model", (litellm.NotFoundError, litellm.UnsupportedParamsError)),
    )
    for code, classes in categories:
        if any(isinstance(one, classes) for one in chain):
            return ModelError(code, raw)
    if getattr(inner, "status_code", None) == 403:
        return ModelError("auth", raw)
    if getattr(inner, "code", None) == "content_filter":
        return ModelError("content_filtered", raw)
    if "LLM Provider NOT provided" in raw:
        return ModelError("invalid_model", raw)
    return ModelError("provider_error", raw)


@functools.cache
def library() -> Any:
    """litellm, imported on first use, quiet, and knowing the demo model."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # otherwise the import fetches a file, and waits
    # litellm ends a stream that repeats a chunk 100 times, "to stop loops". A long ruler in a table is no loop.
    os.environ.setdefault("REPEATED_STREAMING_CHUNK_LIMIT", "100000")
    import litellm

    class Demo(litellm.CustomLLM):
        async def astreaming(self, model: str, messages: list[Any], *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            said = 0
            question = str(messages[-1]["content"])
            async for piece in demo.pieces(question):
                said += 1
                yield _demo_chunk(piece)
            asked = len(question.split())
            yield _demo_chunk("", finished=True, usage=(asked, said))

    litellm.suppress_debug_info = True
    litellm.telemetry = False
    litellm.custom_provider_map = [{"provider": catalogue.DEMO.partition("/")[0], "custom_handler": Demo()}]
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        own = logging.getLogger(name)  # its own handlers write to stdout, what it says is in our log by our words
        own.handlers.clear()
        own.setLevel(logging.CRITICAL)
    return litellm


def _demo_chunk(text: str, *, finished: bool = False, usage: tuple[int, int] | None = None) -> dict[str, Any]:
    """One chunk in litellm's GenericStreamingChunk form."""
    return {
        "text": text,
        "is_finished": finished,
        "finish_reason": "stop" if finished else "",
        "index": 0,
        "tool_use": None,
        "usage": usage
        and {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": usage[0] + usage[1]},
    }


def preload() -> None:
    """Imports litellm, makes one call without a network, and freezes the heap, so that forked workers share it.

    A garbage collection over litellm's heap takes hundreds of milliseconds and copies every shared page; frozen objects
    are never looked at again.
    """
    litellm = library()
    # litellm imports it with its first call over a network: half a second in which a new worker's loop would stand still.
    import openai.resources  # noqa: F401

    async def warm() -> None:
        response = await litellm.acompletion(
            model="openai/warm",
            messages=[{"role": "user", "content": "."}],
            mock_response=".",
            stream=True,
            api_key=".",
        )
        async for _ in response:
            pass

    try:
        asyncio.run(warm())
    except Exception as error:
        logger.warning("litellm's warm call failed: %s", error)
    gc.collect()
    gc.freeze()
