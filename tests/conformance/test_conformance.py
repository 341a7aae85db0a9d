"""Streams as they really come, through both lanes: what comes out is the same, and what was meant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import pytest

from assistant import llm
from assistant.failures import SENTENCES
from tests.conformance import calls, chunks, endings, failures, framing, wire
from tests.conformance.case import Case, ended, said, sse
from tests.conformance.playing import Answer, Player

# litellm trips over its own libraries' warnings, which are errors in these tests.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

CASES: list[Case] = [one for kind in (wire, framing, chunks, endings, calls, failures) for one in kind.CASES]
QUESTION = [{"role": "user", "content": "Hello?"}]
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("weather", "time")
]
LONGEST_SECONDS = 20.0  # nothing takes a second, on a machine that is not busy


@dataclass(slots=True)
class Came:
    text: str = ""
    reasoning: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    finish: str | None = None
    usage: tuple[int, int] | None = None
    error: llm.ModelError | None = None


@pytest.fixture(params=["lane", "litellm"])
def lane(request: Any, settings: Any, player: Player, monkeypatch: pytest.MonkeyPatch) -> str:
    settings.ASSISTANT_FAST_LANE = request.param == "lane"
    settings.ASSISTANT_TIMEOUT = 5.0
    monkeypatch.setenv("OPENAI_API_BASE", f"{player.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-key")
    return str(request.param)


def what_comes(loop: asyncio.Runner, player: Player, case: Case) -> Came:
    player.load(*case.answers)
    came = Came()

    async def scenario() -> None:
        stream = llm.stream("openai/m", QUESTION, tools=TOOLS, parameters=case.parameters)
        async with aclosing(stream) as pieces:
            try:
                await note(pieces)
            except llm.ModelError as error:
                came.error = error

    async def note(pieces: AsyncIterator[llm.Piece]) -> None:
        async for piece in pieces:
            match piece:
                case llm.Text(text):
                    came.text += text
                case llm.Reasoning(text):
                    came.reasoning += text
                case llm.WasThought():
                    came.reasoning, came.text = came.reasoning + came.text, ""
                case llm.ToolCall(name=name, arguments=arguments):
                    came.calls += ((name, arguments),)
                case llm.Usage(figures):
                    came.usage = figures["prompt_tokens"], figures["completion_tokens"]
                case llm.Finish(reason):
                    came.finish = reason

    loop.run(asyncio.wait_for(scenario(), LONGEST_SECONDS))
    return came


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_a_server_sends_is_read_as_what_was_meant(case, lane, loop, player):
    came = what_comes(loop, player, case)
    (came.text + came.reasoning + str(came.calls) + str(came.finish)).encode()  # a database can store it
    assert came.error is None or (came.error.code in SENTENCES and came.error.raw.encode() and came.error.raw)
    if lane == "litellm" and case.litellm_reads_otherwise:
        return
    assert came.error is None or case.error, came.error.raw
    assert (came.error and came.error.code) == case.error
    assert (came.text, came.reasoning, came.calls) == (case.text, case.reasoning, case.calls)
    assert came.finish == case.finish
    if case.usage is not None:
        assert came.usage == case.usage
    if came.error is not None:
        assert case.is_transient in (None, came.error.is_transient)
        assert [word for word in case.words if word not in came.error.raw] == []
    assert len(player.requests) == case.requests


@pytest.mark.parametrize("model", ["anthropic/claude-sonnet-4-5", "cohere_chat/command-r"])
def test_no_provider_sends_a_question_on_to_another_host(model, lane, loop, player, monkeypatch):
    """test_settings.py has OpenAI's; litellm asks others by a client of another make."""
    for name in ("ANTHROPIC", "COHERE"):
        monkeypatch.setenv(f"{name}_API_BASE", player.url)
        monkeypatch.setenv(f"{name}_API_KEY", "sk-very-secret-key")
    player.load(Answer(b"Moved", 307, "text/plain", (("Location", "{elsewhere}/v1/messages"),), end="length"))

    async def scenario() -> None:
        async with aclosing(llm.stream(model, QUESTION)) as pieces:
            async for _ in pieces:
                pass

    with pytest.raises(llm.ModelError) as refused:
        loop.run(asyncio.wait_for(scenario(), LONGEST_SECONDS))
    assert "redirects to http://localhost" in refused.value.raw and not refused.value.is_transient
    assert "set up wrongly" in refused.value.detail and len(player.requests) == 1


def test_half_a_character_in_a_request_goes_out_as_it_came(lane, loop, player):
    """In a tool's description, or in what a provider wants back."""
    if lane == "litellm":
        pytest.skip("litellm encodes by itself")
    player.load(Answer(sse(said("Fine."), ended())))
    stored = {"role": "assistant", "content": "Hm. \ud83d", "reasoning_content": "\x00"}

    async def scenario() -> list[llm.Piece]:
        async with aclosing(llm.stream("openai/m", [*QUESTION, stored, *QUESTION])) as pieces:
            return [piece async for piece in pieces]

    assert llm.Text("Fine.") in loop.run(scenario())
    assert player.requests[0].body["messages"][1]["content"] == "Hm. \ud83d"


def test_there_are_many_cases_and_each_has_a_name_of_its_own():
    assert len({case.name for case in CASES}) == len(CASES) >= 100
