"""The fast lane's requests: what litellm would send, to whom, by which protocol."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from assistant.llm import connection, limits, litellm_internals, responses
from assistant.llm.anthropic import MessagesReader
from assistant.llm.connection import Request
from assistant.llm.credentials import check_address, check_key
from assistant.llm.gemini import GeminiReader
from assistant.llm.library import library
from assistant.llm.litellm_internals import Target
from assistant.llm.ollama import OllamaReader
from assistant.llm.openai_chat import ChatReader
from assistant.llm.question import Question
from assistant.llm.responses import ResponsesReader

OPENAI_URL = "https://api.openai.com/v1"


def request_of(question: Question) -> Request | None:
    """What litellm would send, or None: then litellm sends it itself.

    That is so for protocols that nobody here reads, and for whatever is unusual. Raises what litellm raises.
    """
    if litellm_internals.is_customised() or litellm_internals.signs_in(question.model):
        return None
    target = litellm_internals.target_of(question.model)
    make = _MAKERS.get(target.provider, _openai)
    request = make(question, _configured(target))
    if not request or not connection.is_reachable(request):
        return None
    return replace(request, model=question.model)


_MANY_MESSAGES, _MANY_LETTERS = 100, 300_000


def takes_long(question: Question) -> bool:
    """Whether making the request takes longer than other answers should wait: it belongs into a thread."""
    if len(question.messages) > _MANY_MESSAGES or question.model.startswith("vertex_ai"):
        return True
    return sum(_letters(message.get("content")) for message in question.messages) > _MANY_LETTERS


def _letters(content: Any) -> int:
    """Of all texts in it. Not by its `str()`: an image is megabytes, and other answers wait."""
    if isinstance(content, str):
        return len(content)
    if isinstance(content, Mapping):
        return sum(map(_letters, content.values()))
    return sum(map(_letters, content)) if isinstance(content, list | tuple) else 0


def check_settings(model: str) -> None:
    """Raises WrongSetting where no request can be made with the key and the address that are set for `model`."""
    _configured(litellm_internals.target_of(model))


def _configured(target: Target) -> Target:
    """With the key and the address that the environment names, in litellm's order. Raises WrongSetting."""
    litellm, env = library(), os.environ.get
    prefix = target.provider.upper()
    names = _VARIABLES.get(target.provider, ((f"{prefix}_API_KEY",), (f"{prefix}_API_BASE",)))
    key = target.key or litellm.api_key or next(filter(None, map(env, names[0])), None)
    # Some providers' variable litellm forgets over its own address for them.
    base = next(filter(None, map(env, names[1])), None) or target.base or litellm.api_base
    check_key(key, next(iter(names[0]), "the key"))
    check_address(base, names[1][0])
    return replace(target, key=key, base=base)


# Keys and addresses, where they aren't called as the provider is.
_VARIABLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "openai": (("OPENAI_API_KEY",), ("OPENAI_BASE_URL", "OPENAI_API_BASE")),
    "anthropic": (("ANTHROPIC_API_KEY",), ("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL")),
    "gemini": (("GEMINI_API_KEY", "GOOGLE_API_KEY"), ("GEMINI_API_BASE",)),
    "vertex_ai": ((), ("VERTEXAI_API_BASE", "VERTEX_API_BASE")),
    "vertex_ai_beta": ((), ("VERTEXAI_API_BASE", "VERTEX_API_BASE")),
    "ollama": (("OLLAMA_API_KEY",), ("OLLAMA_API_BASE",)),
    "ollama_chat": (("OLLAMA_API_KEY",), ("OLLAMA_API_BASE",)),
    "openrouter": (("OPENROUTER_API_KEY", "OR_API_KEY"), ("OPENROUTER_API_BASE",)),
}


# --- OpenAI's chat protocol ---


def _openai(question: Question, target: Target) -> Request | None:
    config = litellm_internals.config_of(target)
    if config is None or not litellm_internals.speaks_openai(target, config):
        return None
    effort = question.parameters.get("reasoning_effort")
    if target.provider == "openai" and (name := litellm_internals.speaks_responses(target, question.tools, effort)):
        return _responses(question, replace(target, name=name))
    if not target.key or not litellm_internals.is_chat(target):
        return None  # litellm says which key is missing, and knows the older protocols
    target = replace(target, base=target.base or _BASES.get(target.provider))
    options = litellm_internals.options_of(target, question.tools, question.parameters)
    extra = options.pop("extra_body", None) or {}
    headers = {"Authorization": f"Bearer {target.key}"}
    if target.provider != "openai":
        headers |= litellm_internals.headers_of(config, target, options)
    elif organization := library().organization or os.environ.get("OPENAI_ORGANIZATION"):
        headers["OpenAI-Organization"] = organization
    url = litellm_internals.url_of(config, target, options)
    body = litellm_internals.body_of(config, target, question.messages, extra | options, dict(headers))
    return Request(url, headers, body, ChatReader)


_BASES = {"openai": OPENAI_URL, "openrouter": "https://openrouter.ai/api/v1"}


def _responses(question: Question, target: Target) -> Request | None:
    if not target.key:
        return None
    is_thinking = litellm_internals.thinks(target) or "reasoning_effort" in question.parameters
    body = responses.body_of(
        target.name, question.messages, question.tools, question.parameters, is_thinking=is_thinking
    )
    base = (target.base or OPENAI_URL).rstrip("/")
    return Request(f"{base}/responses", {"Authorization": f"Bearer {target.key}"}, body, ResponsesReader)


# --- others' protocols ---


def _anthropic(question: Question, target: Target) -> Request:
    config = litellm_internals.config_of(target)
    options = litellm_internals.options_of(target, question.tools, question.parameters, has_usage=False)
    options = limits.above_thinking(options)
    headers = litellm_internals.headers_of(config, target, options)
    body = litellm_internals.body_of(config, target, question.messages, options, headers)
    base = (target.base or "https://api.anthropic.com").rstrip("/")
    url = base if base.endswith("/v1/messages") else f"{base.removesuffix('/v1')}/v1/messages"
    return Request(url, headers, body, MessagesReader)


def _gemini(question: Question, target: Target) -> Request | None:
    if target.provider != "gemini" and not litellm_internals.is_gemini_of_vertex(target):
        return None
    options = litellm_internals.options_of(target, question.tools, question.parameters, has_usage=False)
    body = litellm_internals.gemini_body(target, question.messages, options)
    if litellm_internals.thinks(target):  # it thinks anyhow; unless it is asked to, it doesn't show it
        thinking = body.setdefault("generationConfig", {}).setdefault("thinkingConfig", {})
        thinking.setdefault("includeThoughts", True)
    headers, url = litellm_internals.gemini_address(target)
    return Request(url, headers, body, GeminiReader)


def _ollama(question: Question, target: Target) -> Request:
    """By /api/chat for both of litellm's names: /api/generate, its choice for `ollama/`, knows neither roles nor tools."""
    target = replace(target, provider="ollama_chat", base=target.base or "http://localhost:11434")
    config = litellm_internals.config_of(target)
    options = litellm_internals.options_of(target, question.tools, question.parameters, has_usage=False)
    headers = litellm_internals.headers_of(config, target, options)
    url = litellm_internals.url_of(config, target, options)
    return Request(
        url, headers, litellm_internals.body_of(config, target, question.messages, options, headers), OllamaReader
    )


_MAKERS: Mapping[str, Callable[[Question, Target], Request | None]] = {
    "anthropic": _anthropic,
    "gemini": _gemini,
    "vertex_ai": _gemini,
    "vertex_ai_beta": _gemini,
    "ollama": _ollama,
    "ollama_chat": _ollama,
}
