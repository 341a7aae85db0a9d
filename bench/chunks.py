"""The CPU of one chunk, by each protocol, our lane and litellm in turn: `python -m bench.chunks --out docs/models.md`.

CPU of the reading process (litellm reads in a thread of its own), from a strict fake on this machine, divided by the
chunks; the call's own cost is taken out by asking for two lengths. Ratios carry over to other machines, times don't.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

from bench import section

FEW, MANY, ROUNDS = 200, 2_200, 5
MODELS = {
    "OpenAI": "openai/",
    "Anthropic": "anthropic/claude-sonnet-4-5~",
    "Gemini": "gemini/gemini-2.5-flash~",
    "Ollama": "ollama_chat/llama3.2~",
    "OpenAI Responses": "openai/responses/",
    "Mistral": "mistral/mistral-medium-latest~",
    "DeepSeek": "deepseek/deepseek-chat~",
    "OpenRouter": "openrouter/",
}


async def seconds_of(model: str, tokens: int) -> float:
    """CPU of this process, litellm's thread with it, to read an answer of so many tokens."""
    from assistant import llm

    messages = [{"role": "user", "content": "Hello"}]
    began = time.process_time()
    async with aclosing(llm.stream(f"{model}words-n{tokens}", messages)) as pieces:
        async for _ in pieces:
            pass
    return time.process_time() - began


def measured(model: str) -> dict[str, float]:
    """Microseconds of a chunk, by lane."""
    from django.conf import settings

    from assistant import llm
    from assistant.llm.library import library

    found: dict[str, list[float]] = {"lane": [], "litellm": []}

    async def rounds() -> None:
        for _ in range(ROUNDS + 1):
            for way, values in found.items():
                settings.ASSISTANT_FAST_LANE = way == "lane"
                few, many = await seconds_of(model, FEW), await seconds_of(model, MANY)
                values.append((many - few) / (MANY - FEW) * 1e6)
        await llm.close()
        await library().close_litellm_async_clients()

    asyncio.run(rounds())
    return {way: statistics.median(values[1:]) for way, values in found.items()}


def table() -> Iterator[str]:
    yield "| protocol | by our lane, µs of CPU a chunk | by litellm | ratio |"
    yield "| --- | --- | --- | --- |"
    for name, model in MODELS.items():
        one = measured(model)
        yield f"| {name} | {one['lane']:.0f} | {one['litellm']:.0f} | 1 : {one['litellm'] / one['lane']:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.chunks", description=__doc__)
    parser.add_argument("--out", type=Path, help="a document with the markers to write into")
    given = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    import django

    django.setup()
    from assistant import llm
    from tests.protocols import ProtocolsProcess

    llm.preload()
    protocols = ProtocolsProcess()
    with protocols:
        os.environ.update(protocols.environment)
        text = "\n".join(table())
    if given.out:
        section.write(given.out, "chunks", text)
    print(text)


if __name__ == "__main__":
    main()
