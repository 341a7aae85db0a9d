"""What the process that the workers are forked from does once, so that none of them does it while people wait."""

from __future__ import annotations

import asyncio
import logging

from assistant import catalogue
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
    """Imports litellm, makes one call without a network, prepares one request of each protocol, and freezes the heap, so
    that forked workers share it.

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
    for model in {*_PROTOCOLS, *(entry.id for entry in catalogue.entries())}:
        if litellm_internals.signs_in(model):
            continue
        try:
            litellm_internals.spare(model)
            requests.request_of(Question(model, [{"role": "user", "content": "."}]))
        except Exception as error:  # no key, say: whoever asks it is told
            logger.debug("No request for %s could be prepared: %s", model, error)
    freeze_heap()
