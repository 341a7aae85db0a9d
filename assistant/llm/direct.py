"""The fast lane's requests: what litellm would send, to whom, and what an answer's error means to it."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import aclosing

from assistant import conf
from assistant.llm import lane, money
from assistant.llm.library import library
from assistant.llm.question import Question
from assistant.pieces import Piece, Usage


def request_of(question: Question) -> lane.Request | None:
    """What litellm would send for a model that speaks OpenAI's protocol, or None: then litellm sends it itself.

    That is so for other providers, for models that OpenAI serves by another protocol, and for whatever is unusual here.
    """
    litellm = library()
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


async def stream(question: Question, request: lane.Request) -> AsyncGenerator[Piece, None]:
    try:
        async with aclosing(lane.stream(request, conf.get("ASSISTANT_TIMEOUT"))) as pieces:
            async for piece in pieces:
                if isinstance(piece, lane.RawUsage):
                    yield Usage(money.figures(question.model, piece.figures))
                else:
                    yield piece
    except lane.ProviderError as error:
        raise _as_litellm_says(question.model, error) from error


def _as_litellm_says(model: str, error: lane.ProviderError) -> Exception:
    """litellm's exception for a provider's error: it knows how a hundred of them word theirs."""
    try:
        return library().exception_type(model=model, original_exception=error, custom_llm_provider="openai")
    except Exception as mapped:
        return mapped
