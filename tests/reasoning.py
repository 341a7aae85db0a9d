"""What a model thinks, as the tests make it and follow it."""

from __future__ import annotations

import asyncio

from assistant import llm
from assistant.lifecycle.answering import Written
from assistant.text.reasoned import Reasoned
from assistant.worker.flusher import Flusher
from assistant.worker.streaming import Answer
from tests.acting import an_outbox

THOUGHTS = [llm.Reasoning("First I look"), llm.Reasoning(" at it.")]


def thought(content, seq=1, seconds=1.5, tokens=None):
    return {"content": content, "seconds": seconds, "tokens": tokens, "seq": seq}


def thinking(content, seq=2, seconds=1.5, text="", text_seq=0):
    return Written(text, text_seq, reasoned=Reasoned(content, seq, seconds))


def says(monkeypatch, *requests):
    """What the model sends to the first request, to the second ... An error among the pieces is raised."""
    left = list(requests)

    async def stream(model, messages, **options):
        for piece in left.pop(0):
            if isinstance(piece, Exception):
                raise piece
            yield piece

    monkeypatch.setattr(llm, "stream", stream)


def written_by(loop, claim, act, on_doubt=lambda: None):
    """Acts on a fresh Answer of `claim`, closes it, and returns what it has written."""

    async def scenario():
        async with an_outbox() as outbox:
            fresh = Answer(claim, Flusher(outbox), on_doubt=on_doubt)
            async with asyncio.timeout(60):
                await act(fresh)
            await fresh.close()
            return fresh.written

    return loop.run(scenario())


def follow(state, frames):
    """A viewer's state after these frames."""
    for frame in frames:
        state.apply(frame)
    assert not state.is_stale
    return state
