"""What the process that the workers are forked from does once, so that none of them does it while people wait."""

from __future__ import annotations

import asyncio
import logging

from assistant import catalogue, conf
from assistant.llm import litellm_internals, requests
from assistant.llm.library import library
from assistant.llm.question import Question
from assistant.processes.host_processes import freeze_heap

logger = logging.getLogger(__name__)

# One of each protocol: litellm loads a provider's code with its first request, for a tenth of a second and more.
_PROTOCOLS = (
    "openai/warm",
    "anthropic/claude-sonnet-4-5",
    "gemini/gemini-2.5-flash",
    "ollama_chat/warm",
    "openai/responses/warm",
)


def preload() -> None:
    """Imports litellm, prepares one request of each protocol, and freezes the heap, so that forked workers share it.

    A garbage collection over litellm's heap takes hundreds of milliseconds and copies every shared page; frozen objects
    are never looked at again.
    """
    library()
    offered = {entry.id for entry in catalogue.entries()} | {*conf.settings.fallback_models}
    for model in sorted(offered - {catalogue.DEMO}):
        _say_if_nobody_has_it(model)
    by_litellm = [model for model in {*_PROTOCOLS, *offered} if not _is_read_here(model)]
    if not conf.settings.fast_lane or offered.intersection(by_litellm):
        _warm_litellm()
    freeze_heap()


def _say_if_nobody_has_it(model: str) -> None:
    """Now, and not at the first question."""
    if litellm_internals.signs_in(model):
        return  # litellm would begin to sign in
    try:
        library().get_llm_provider(model)
    except Exception:
        logger.error(
            "ASSISTANT_MODELS, ASSISTANT_FALLBACK_MODELS: litellm knows no provider of %r. Write an id with its provider "
            "before it, such as openai/gpt-5-mini.",
            model,
        )


def _is_read_here(model: str) -> bool:
    """Prepares a request of the model's; False if litellm is to send it itself."""
    if litellm_internals.signs_in(model):
        return False
    try:
        litellm_internals.spare(model)
        return requests.request_of(Question(model, [{"role": "user", "content": "."}])) is not None
    except Exception as error:  # no key, say: whoever asks it is told
        logger.debug("No request for %s could be prepared: %s", model, error)
        return True


def _warm_litellm() -> None:
    """One call without a network. With it litellm loads its client and a tokenizer: 60 MB, and half a second in which a
    new worker's first answer would stand still. Whoever's models are all read here needs none of it.
    """
    import openai.resources  # noqa: F401  with its first call over a network

    async def warm() -> None:
        response = await library().acompletion(
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
