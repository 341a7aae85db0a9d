"""A real LiteLLM proxy between the product and a real llama.cpp server, and what the proxy itself refuses."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from assistant import llm
from assistant.llm.pieces import Finish, ModelError, Reasoning, Text, ToolCall, Usage
from tests.litellm_proxy import KEY, LiteLLMProxy

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),  # litellm's libraries'
]

PREFIXES = (
    "litellm_proxy",
    "openai",
)  # as litellm's own documentation says, and as everything that speaks OpenAI's protocol
ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds.",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
    },
}


@pytest.fixture(scope="module")
def proxy(llama_server, scripted):
    models = {"llama": ("llama", llama_server.base_url), "endless": ("paced-n9999-rate100", scripted.base_url)}
    with LiteLLMProxy(models) as started:
        yield started


@pytest.fixture
def asked(proxy, loop, monkeypatch):
    for prefix in PREFIXES:
        monkeypatch.setenv(f"{prefix.upper()}_API_BASE", proxy.base_url)
        monkeypatch.setenv(f"{prefix.upper()}_API_KEY", KEY)

    async def all_of(model, question, **more):
        async with aclosing(llm.stream(model, [{"role": "user", "content": question}], **more)) as stream:
            return [piece async for piece in stream]

    return lambda *question, **more: loop.run(all_of(*question, **more))


def text(pieces, kind=Text):
    return "".join(piece.text for piece in pieces if isinstance(piece, kind)).strip()


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(("model", "answer"), [("llama", "A brief answer"), ("mocked", "A mocked answer.")])
def test_an_answer_is_read_whole_with_its_figures_and_its_end(asked, prefix, model, answer):
    pieces = asked(f"{prefix}/{model}", "Hello")
    assert text(pieces) == answer
    assert [piece.reason for piece in pieces if isinstance(piece, Finish)] == ["stop"]
    assert [piece for piece in pieces if isinstance(piece, Usage)][-1].figures["total_tokens"] > 4


@pytest.mark.parametrize("prefix", PREFIXES)
def test_thinking_and_calls_come_through_it(asked, prefix):
    thinking = asked(f"{prefix}/llama", "Please think")
    assert (text(thinking, Reasoning), text(thinking)) == ("hmm", "A brief answer")
    calling = asked(f"{prefix}/llama", "Please add two and three", tools=[ADD])
    (call,) = [piece for piece in calling if isinstance(piece, ToolCall)]
    assert (call.name, call.arguments) == ("add", '{"a": 2, "b": 3}') and call.id
    assert calling[-1] == Finish("tool_calls")


def test_a_stream_that_is_closed_is_closed_behind_it_too(asked, scripted, loop):
    """By the scripted provider: from one as quick as the tiny model the proxy reads on and on, and hears nobody."""

    async def begin():
        async with aclosing(llm.stream("litellm_proxy/endless", [{"role": "user", "content": "Hello"}])) as stream:
            async for piece in stream:
                if isinstance(piece, Text):
                    break
            assert await asyncio.to_thread(scripted.active) == 1
        await asyncio.to_thread(scripted.wait_for, lambda it: it.active() == 0, 60)

    loop.run(begin())


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(
    ("model", "question", "code", "is_transient"),
    [
        ("busy", "Hello", "rate_limited", True),
        ("broken", "Hello", "provider_error", True),
        ("overflowing", "Hello", "context_overflow", False),
        ("llama", "word " * 2000, "context_overflow", False),
        ("unheard-of", "Hello", "invalid_model", False),
    ],
)
def test_its_refusals_are_understood(asked, prefix, model, question, code, is_transient):
    with pytest.raises(ModelError) as refused:
        asked(f"{prefix}/{model}", question)
    assert (refused.value.code, refused.value.is_transient) == (code, is_transient)
