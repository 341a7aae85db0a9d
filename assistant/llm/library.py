"""litellm: imported on first use, quiet, and knowing the demo model. The only module that imports it.

The import takes seconds and 180 MB, and the web server and the management commands never need it.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import AsyncIterator
from typing import Any

from assistant import catalogue
from assistant.llm import demo
from assistant.processes.host_processes import without_collections


@functools.cache
def library() -> Any:
    """litellm, imported on first use, quiet, and knowing the demo model."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # otherwise the import fetches a file, and waits
    # litellm ends a stream that repeats a chunk 100 times, "to stop loops". A long ruler in a table is no loop.
    os.environ.setdefault("REPEATED_STREAMING_CHUNK_LIMIT", "100000")
    with without_collections():
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

    # Else it fetches tokenizers from a hub to count what a provider has not counted: 23 s where there is no hub.
    litellm.disable_hf_tokenizer_download = True
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
