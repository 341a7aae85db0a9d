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
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from assistant import catalogue, conf, demo
from assistant.failures import sentence

logger = logging.getLogger(__name__)

COMPLETE = frozenset({"stop", "tool_calls", "function_call"})  # reasons to finish that make a whole answer


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    figures: dict[str, Any]  # {"prompt_tokens": int, "completion_tokens": int, "total_tokens": int, "cost": float|None}


@dataclass(frozen=True, slots=True)
class Finish:
    reason: str  # the provider's word, in OpenAI's terms: stop, length, content_filter, tool_calls


Piece = Text | Usage | Finish


class ModelError(Exception):
    """The model could not answer. `code` is a category of `assistant.failures`, `detail` for people, `raw` for the log."""

    def __init__(self, code: str, raw: str, detail: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.raw = raw
        self.detail = detail or sentence(code)


async def stream(model: str, messages: list[dict[str, Any]]) -> AsyncIterator[Piece]:
    """Asks `model` (a litellm id) and yields what it sends, as it comes.

    `messages` are in OpenAI's chat format. Silence longer than ASSISTANT_TIMEOUT seconds ends it. Closing the iterator
    closes the provider's connection. Raises ModelError, nothing else.
    """
    litellm = library()
    silence = conf.get("ASSISTANT_TIMEOUT")
    response = None
    finish: str | None = None
    try:
        async with asyncio.timeout(silence + CONNECT_SECONDS):
            response = await litellm.acompletion(
                model=model,
                messages=messages,
                stream=True,
                stream_options={"include_usage": True},
                timeout=silence,
                max_retries=0,
                num_retries=0,
                drop_params=True,
            )
        chunks = response.__aiter__()
        while True:
            async with asyncio.timeout(silence + CONNECT_SECONDS):
                try:
                    chunk = await chunks.__anext__()
                except StopAsyncIteration:
                    break
            for choice in chunk.choices[:1]:
                if choice.delta is not None and choice.delta.content:
                    yield Text(choice.delta.content)
                finish = choice.finish_reason or finish
            if usage := getattr(chunk, "usage", None):
                yield Usage(_figures(litellm, model, usage))
        if finish:
            yield Finish(finish)
    except TimeoutError as error:
        raise ModelError("timeout", f"no byte for {silence:g} s") from error
    except (asyncio.CancelledError, GeneratorExit, ModelError):
        raise
    except Exception as error:
        raise _translated(litellm, error) from error
    finally:
        await _close(response)


CONNECT_SECONDS = 5.0


async def _close(response: Any) -> None:
    """Closes the provider's connection now, not when the garbage collector comes by."""
    for stream_ in (response, getattr(response, "completion_stream", None)):
        close = getattr(stream_, "aclose", None) or getattr(stream_, "close", None)
        if close is None:
            continue
        try:
            result = close()
            if asyncio.iscoroutine(result):
                await result
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
    """One of our categories for whatever litellm or the network raised. The order matters: subclasses come first."""
    categories = (
        ("timeout", (litellm.Timeout,)),
        ("context_overflow", (litellm.ContextWindowExceededError,)),
        ("content_filtered", (litellm.ContentPolicyViolationError,)),
        ("rate_limited", (litellm.RateLimitError,)),
        ("auth", (litellm.AuthenticationError, litellm.PermissionDeniedError)),
        ("invalid_model", (litellm.NotFoundError, litellm.UnsupportedParamsError)),
    )
    raw = f"{type(error).__name__}: {error}"
    for code, classes in categories:
        if isinstance(error, classes):
            return ModelError(code, raw)
    if isinstance(error, litellm.BadRequestError) and "LLM Provider NOT provided" in str(error):
        return ModelError("invalid_model", raw)
    if "timed out" in str(error).lower() or "ReadTimeout" in raw:
        return ModelError("timeout", raw)
    return ModelError("provider_error", raw)


@functools.cache
def library() -> Any:
    """litellm, imported on first use, quiet, and knowing the demo model."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # otherwise the import fetches a file, and waits
    import litellm
    from litellm import CustomLLM

    class Demo(CustomLLM):
        async def astreaming(self, model: str, messages: list[Any], *args: Any, **kwargs: Any) -> AsyncIterator[Any]:  # type: ignore[override]
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
        logging.getLogger(name).setLevel(logging.CRITICAL)
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

    async def warm() -> None:
        response = await litellm.acompletion(
            model="openai/warm", messages=[{"role": "user", "content": "."}], mock_response=".", stream=True, api_key="."
        )
        async for _ in response:
            pass

    try:
        asyncio.run(warm())
    except Exception as error:
        logger.warning("litellm's warm call failed: %s", error)
    gc.collect()
    gc.freeze()
