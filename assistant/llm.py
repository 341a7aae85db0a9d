"""The models, through litellm: a stream of typed pieces, and errors in our own categories.

litellm says whom to ask, how, and what an error means. The bytes of OpenAI's protocol are read by `assistant.lane`, for far
less CPU; every other provider's by litellm.

This is the only module that imports litellm, and it does so on first use: the import takes seconds and 180 MB, and the
web server and the management commands never need it. `preload` is for the process that the workers are forked from.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Any

import httpx

from assistant import catalogue, conf, demo, lane
from assistant.pieces import Finish, Fragments, ModelError, Piece, Text, ToolCall, Usage
from assistant.processes import freeze_heap

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
    if not sees(model):
        messages = _without_images(messages)
    question = _Question(model, messages, tools, parameters)
    try:
        request = _lane_request(litellm, question) if conf.get("ASSISTANT_FAST_LANE") else None
        source = _by_lane(litellm, question, request) if request else _by_litellm(litellm, question)
        async with aclosing(source) as pieces:
            async for piece in pieces:
                yield piece
    except (asyncio.CancelledError, GeneratorExit, ModelError):
        raise
    except Exception as error:
        raise _translated(litellm, error) from error


async def close() -> None:
    """Closes what is kept open for the running loop between two calls."""
    await lane.close()


def limit(model: str) -> int | None:
    """How many tokens `model` can read, or None if litellm does not know it."""
    try:
        return library().get_model_info(model).get("max_input_tokens")
    except Exception:  # it does not know the model
        return None


def keys_of(model: str) -> list[str]:
    """The environment's variables with which `model`'s provider is paid, those that are set and those that are missing."""
    try:
        found = library().validate_environment(model)
    except Exception:  # it does not know the model
        return []
    if found.get("missing_keys"):
        return [str(name) for name in found["missing_keys"]]
    _, provider, _, _ = library().get_llm_provider(model)
    return [name for name in os.environ if name == f"{provider.upper()}_API_KEY"]


def count(model: str, messages: list[dict[str, Any]]) -> int:
    """About how many tokens `messages` are for `model`. Takes a while for many: call it in a thread."""
    return int(library().token_counter(model=model, messages=messages))


@dataclass(frozen=True, slots=True)
class _Question:
    model: str
    messages: list[dict[str, Any]]
    tools: Sequence[dict[str, Any]]
    parameters: Mapping[str, Any]


# --- by the fast lane ---


def _lane_request(litellm: Any, question: _Question) -> lane.Request | None:
    """What litellm would send for a model that speaks OpenAI's protocol, or None: then litellm sends it itself.

    That is so for other providers, for models that OpenAI serves by another protocol, and for whatever is unusual here.
    """
    from litellm.main import responses_api_bridge_check
    from litellm.types.utils import LlmProviders
    from litellm.utils import ProviderConfigManager

    name, provider, key, base = litellm.get_llm_provider(question.model)
    if provider != "openai" or litellm.ssl_verify is not True or litellm.headers or litellm.callbacks:
        return None
    env = os.environ.get  # in litellm's order
    base = base or litellm.api_base or env("OPENAI_BASE_URL") or env("OPENAI_API_BASE") or OPENAI_URL
    key = key or litellm.api_key or litellm.openai_key or env("OPENAI_API_KEY")
    effort = question.parameters.get("reasoning_effort")
    served_by, name = responses_api_bridge_check(
        model=name, custom_llm_provider=provider, tools=question.tools, reasoning_effort=effort, api_base=base
    )
    if not key or served_by.get("mode") not in (None, "chat"):
        return None
    options = {"stream": True, "stream_options": {"include_usage": True}}
    if question.parameters:
        known = litellm.get_optional_params(
            model=name, custom_llm_provider=provider, drop_params=True, **question.parameters
        )
        options = known.pop("extra_body", {}) | known | options
    if question.tools:
        options["tools"] = list(question.tools)
    config = ProviderConfigManager.get_provider_chat_config(model=name, provider=LlmProviders.OPENAI)
    body = config.transform_request(
        model=name, messages=question.messages, optional_params=options, litellm_params={}, headers={}
    )
    headers = {"Authorization": f"Bearer {key}"}
    if organization := litellm.organization or env("OPENAI_ORGANIZATION"):
        headers["OpenAI-Organization"] = organization
    return lane.Request(f"{base.rstrip('/')}/chat/completions", headers, body)


OPENAI_URL = "https://api.openai.com/v1"


async def _by_lane(litellm: Any, question: _Question, request: lane.Request) -> AsyncGenerator[Piece, None]:
    try:
        async with aclosing(lane.stream(request, conf.get("ASSISTANT_TIMEOUT"))) as pieces:
            async for piece in pieces:
                if isinstance(piece, lane.RawUsage):
                    yield Usage(_figures(question.model, piece.figures))
                else:
                    yield piece
    except lane.ProviderError as error:
        raise _as_litellm_says(litellm, question.model, error) from error


def _as_litellm_says(litellm: Any, model: str, error: lane.ProviderError) -> Exception:
    """litellm's exception for a provider's error: it knows how a hundred of them word theirs."""
    try:
        return litellm.exception_type(model=model, original_exception=error, custom_llm_provider="openai")
    except Exception as mapped:
        return mapped


# --- by litellm ---

LOOP_SHARE_SECONDS = 0.005


async def _by_litellm(litellm: Any, question: _Question) -> AsyncGenerator[Piece, None]:
    response: Any = None
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
                yield Usage(_figures(question.model, usage.model_dump()))
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


# --- what both have in common ---


def _figures(model: str, usage: Mapping[str, Any]) -> dict[str, Any]:
    asked, said = _tokens(usage.get("prompt_tokens")), _tokens(usage.get("completion_tokens"))
    total = _tokens(usage.get("total_tokens")) or asked + said
    return {
        "prompt_tokens": asked,
        "completion_tokens": said,
        "total_tokens": total,
        "cost": cost(model, asked, said),
    }


def _tokens(told: Any) -> int:
    """As many as can be stored: a provider's odd figures must not cost the answer that came with them."""
    return min(max(0, told), 2**31 - 1) if isinstance(told, int) else 0


def cost(model: str, prompt_tokens: int, completion_tokens: int) -> float | None:
    """What that many tokens of `model` cost in US dollars, or None: litellm knows no price for it."""
    if model == catalogue.DEMO:
        return 0.0
    try:
        return float(
            sum(
                library().cost_per_token(
                    model=model, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens
                )
            )
        )
    except Exception:
        return None


def sees(model: str) -> bool:
    """Whether `model` takes images: litellm knows it of many, ASSISTANT_VISION_MODELS names others (`*` at the end: all
    ids that begin so)."""
    for name in conf.get("ASSISTANT_VISION_MODELS"):
        if model == name or (name.endswith("*") and model.startswith(name[:-1])):
            return True
    try:
        return bool(library().supports_vision(model=model))
    except Exception:
        return False


def _without_images(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A prompt that was made for a model that sees, for one that doesn't (it fell back to it)."""
    return [_as_text(message) if isinstance(message.get("content"), list) else message for message in messages]


def _as_text(message: dict[str, Any]) -> dict[str, Any]:
    texts = [part.get("text") or "[you can't see this image]" for part in message["content"]]
    return message | {"content": "\n\n".join(texts)}


def _translated(litellm: Any, error: Exception) -> ModelError:
    """One of our categories for whatever litellm or the network raised."""
    raw = f"{type(error).__name__}: {error}"[:2000]
    # An error in mid stream is wrapped; what happened is inside, and a network error is inside that one's context.
    inner = getattr(error, "original_exception", None) or error
    chain = [error, inner, inner.__context__, inner.__cause__]
    code = _category(litellm, chain, raw)
    return ModelError(code, raw, is_transient=_is_transient(code, chain, raw), retry_after=_retry_after(chain))


def _category(litellm: Any, chain: list[Any], raw: str) -> str:
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
            return code
    if any(getattr(one, "status_code", None) == 403 for one in chain):
        return "auth"
    if any(getattr(one, "code", None) == "content_filter" for one in chain):
        return "content_filtered"
    if "Missing credentials" in raw:  # there is no key in the environment
        return "auth"
    if "LLM Provider NOT provided" in raw:
        return "invalid_model"
    return "provider_error"


def _is_transient(code: str, chain: list[Any], raw: str) -> bool:
    """Whether it is the provider's or the network's trouble of the moment, and not what was asked of it."""
    if code == "rate_limited":
        unpaid = "insufficient_quota"  # it stays so until somebody pays the bill
        return unpaid not in raw and all(getattr(one, "code", None) != unpaid for one in chain)
    if code != "provider_error":
        return False
    statuses = {status for one in chain if isinstance(status := getattr(one, "status_code", None), int)}
    return not statuses or max(statuses) >= 500 or bool(statuses & {408, 409, 425})


def _retry_after(chain: list[Any]) -> float | None:
    """Seconds, from the provider's Retry-After (RFC 9110, section 10.2.3: a number, or a date)."""
    for one in chain:
        headers = getattr(one, "headers", None) or getattr(getattr(one, "response", None), "headers", None) or {}
        for name in ("Retry-After", "retry-after"):
            if (said := headers.get(name)) is None:
                continue
            try:
                return max(0.0, float(said))
            except ValueError:
                pass
            try:
                return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
            except ValueError:
                return None
    return None


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
    freeze_heap()
