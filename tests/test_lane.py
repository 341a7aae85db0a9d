"""The fast lane yields what litellm yields, from the same provider, and loses nothing on the way.

Servers with manners of their own: `tests/conformance`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any
from urllib.parse import urlsplit

import pytest

from assistant import llm
from assistant.llm import by_litellm as slow_lane
from assistant.llm import connection, requests
from assistant.llm.anthropic import MessagesReader
from assistant.llm.gemini import GeminiReader
from assistant.llm.ollama import OllamaReader
from assistant.llm.openai_chat import ChatReader
from assistant.llm.pieces import Finish, ModelError, Text, ToolCall, Usage
from assistant.llm.question import Question
from assistant.llm.responses import ResponsesReader
from tests.provider import ProviderProcess, expected_text

# litellm trips over its own libraries' warnings, which are errors in these tests.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

QUESTION = [{"role": "user", "content": "Grüße 👋🏽 cafe\u0301?"}]
WEATHER = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]


@pytest.fixture
def provider(asked_here: ProviderProcess, settings: Any) -> ProviderProcess:
    settings.ASSISTANT_TIMEOUT = 2.0
    return asked_here


Ask = Callable[..., tuple[list[Any], ModelError | None]]


@pytest.fixture
def ask(loop: asyncio.Runner) -> Ask:
    """(what came, the error in which it ended)"""

    def ask(model: str, **more: Any) -> tuple[list[Any], ModelError | None]:
        async def scenario() -> tuple[list[Any], ModelError | None]:
            pieces: list[Any] = []
            try:
                async with aclosing(llm.stream(model, QUESTION, **more)) as stream:
                    async for piece in stream:
                        pieces.append(piece)
            except ModelError as error:
                return pieces, error
            return pieces, None

        return loop.run(scenario())

    return ask


def text(pieces: list[Any]) -> str:
    return "".join(piece.text for piece in pieces if isinstance(piece, Text))


def by_litellm(settings: Any, ask: Ask, model: str, **more: Any) -> tuple[list[Any], ModelError | None]:
    settings.ASSISTANT_FAST_LANE = False
    try:
        return ask(model, **more)
    finally:
        settings.ASSISTANT_FAST_LANE = True


@pytest.fixture
def lane_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes another way fails."""
    monkeypatch.setattr(slow_lane, "stream", None)


# --- the same as by litellm ---

STREAMS = [
    "words", "unicode", "unicode-split", "markdown", "words-keepalive=0.05-first=0.2", "words-think=3", "big=64K",
    "words-finish=length", "words-nodone", "words-finish=none-nodone", "words-n5-usage=70,5", "empty", "blank",
]  # fmt: skip


@pytest.mark.parametrize("script", STREAMS)
def test_text_usage_and_reason_are_those_that_litellm_gives(provider, settings, ask, script):
    model = f"openai/{script}"
    fast, error = ask(model)
    slow, other = by_litellm(settings, ask, model)
    assert error is None and other is None
    assert text(fast) == text(slow) == expected_text(model, QUESTION[0]["content"])
    for kind in (Usage, Finish):
        assert [p for p in fast if isinstance(p, kind)] == [p for p in slow if isinstance(p, kind)]


FAILURES = [
    "words-silence=5", "words-hang", "words-error=5", "words-bad=5", "words-400", "words-401", "words-403", "words-404",
    "words-429", "words-quota", "words-500", "words-502", "words-503", "words-context", "words-filter", "words-policy",
]  # fmt: skip


@pytest.mark.parametrize("script", FAILURES)
def test_a_failure_has_the_category_that_litellm_gives_it(provider, settings, ask, script):
    model = f"openai/{script}"
    fast, error = ask(model)
    slow, other = by_litellm(settings, ask, model)
    assert error is not None and other is not None
    assert (error.code, text(fast)) == (other.code, text(slow))


@pytest.mark.parametrize(
    "script",
    ["tool=weather:city:Paris,days:2", "tool=weather-tool=weather-fragment=1", "tool=weather-badargs-preamble=3"],
)
def test_calls_of_tools_are_those_that_litellm_gives(provider, settings, ask, script):
    fast, _ = ask(f"openai/{script}", tools=WEATHER)
    slow, _ = by_litellm(settings, ask, f"openai/{script}", tools=WEATHER)

    def calls(pieces):
        return [(p.name, p.arguments) for p in pieces if isinstance(p, ToolCall)]

    assert calls(fast) == calls(slow) != []
    assert text(fast) == text(slow)


def test_the_provider_is_asked_the_same(provider, settings, ask):
    more = {"tools": WEATHER, "parameters": {"temperature": 0.5, "max_tokens": 77}}
    ask("openai/words", **more)
    by_litellm(settings, ask, "openai/words", **more)
    fast, slow = (request["body"] for request in provider.requests())
    assert fast == slow
    assert fast["temperature"] == 0.5 and fast["max_tokens"] == 77 and fast["tools"] == WEATHER


# --- who takes it ---


def test_openai_models_take_the_lane(provider, ask, lane_alone):
    pieces, error = ask("openai/words")
    assert error is None and text(pieces) == expected_text("openai/words", "")


@pytest.mark.parametrize(
    "model",
    ["demo/assistant", "azure/gpt-4o", "bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0", "cohere/command-r"],
)
def test_protocols_that_nobody_here_reads_go_by_litellm(provider, model):
    assert requests.request_of(Question(model, QUESTION)) is None


@pytest.mark.parametrize(
    ("model", "reader", "path"),
    [
        ("openai/gpt-4o", ChatReader, "/v1/chat/completions"),
        ("mistral/mistral-large-latest", ChatReader, "/v1/chat/completions"),
        ("deepseek/deepseek-reasoner", ChatReader, "/beta/chat/completions"),
        ("openrouter/qwen/qwen3-32b", ChatReader, "/api/v1/chat/completions"),
        ("hosted_vllm/any", ChatReader, "/v1/chat/completions"),
        ("groq/llama-3.3-70b-versatile", ChatReader, "/openai/v1/chat/completions"),
        ("lm_studio/any", ChatReader, "/v1/chat/completions"),
        ("openai/responses/gpt-5", ResponsesReader, "/v1/responses"),
        ("openai/o3-pro", ResponsesReader, "/v1/responses"),
        ("anthropic/claude-sonnet-4-5", MessagesReader, "/v1/messages"),
        ("gemini/gemini-2.5-flash", GeminiReader, "/v1beta/models/gemini-2.5-flash:streamGenerateContent"),
        ("ollama/llama3.2", OllamaReader, "/api/chat"),
        ("ollama_chat/llama3.2", OllamaReader, "/api/chat"),
    ],
)
def test_each_protocol_has_its_reader_and_its_address(provider, monkeypatch, model, reader, path):
    company = model.partition("/")[0].upper()
    monkeypatch.setenv(f"{company}_API_KEY", "sk-of-a-test")
    if company in ("HOSTED_VLLM", "LM_STUDIO"):
        monkeypatch.setenv(f"{company}_API_BASE", "http://127.0.0.1:1/v1")
    request = requests.request_of(Question(model, QUESTION))
    assert request is not None and isinstance(request.reader(), reader)
    assert urlsplit(request.url).path == path


def test_without_a_key_litellm_says_what_is_missing(provider, ask, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    _, error = ask("openai/words")
    assert error is not None and error.code == "auth"


# --- nothing is lost on the way ---


@pytest.mark.parametrize("fault", ["cut", "reset"])
def test_all_that_was_sent_before_the_connection_broke_is_yielded(provider, ask, fault):
    """However busy the reader's loop is: litellm's own transport drops what it has not been asked for yet."""
    model = f"openai/paced-n=400-rate=4000-{fault}=300"
    whole = expected_text("openai/paced-n=300-rate=4000", "")
    for _ in range(5):
        pieces, error = ask(model)
        assert error is not None and error.code == "provider_error"
        assert text(pieces) == whole


def test_stopping_closes_the_providers_connection(provider, loop):
    async def scenario():
        async with aclosing(llm.stream("openai/words-hold=3", QUESTION)) as stream:
            async for _ in stream:
                break

    loop.run(scenario())
    provider.wait_for(lambda it: it.active() == 0)


def test_the_connection_is_used_again_and_a_dead_one_replaced(provider, loop, lane_alone):
    async def scenario():
        await llm.close()  # those to other providers
        for _ in range(2):
            async with aclosing(llm.stream("openai/words", QUESTION)) as stream:
                assert text([piece async for piece in stream])
        open_now = len(connection._sessions[asyncio.get_running_loop()].connector._conns)
        await asyncio.to_thread(provider.stop)
        await asyncio.to_thread(provider.start)
        async with aclosing(llm.stream("openai/words", QUESTION)) as stream:
            assert text([piece async for piece in stream])
        return open_now

    assert loop.run(scenario()) == 1


def test_how_long_a_question_is_takes_no_copy_of_its_images():
    copied: list[int] = []

    class Content(list[Any]):
        def __repr__(self) -> str:
            copied.append(len(self))
            return super().__repr__()

    def asked(letters: int) -> Question:
        parts = [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": "x" * letters}}]
        return Question("openai/m", [{"role": "user", "content": Content(parts)}])

    assert requests.takes_long(asked(400_000)) and not requests.takes_long(asked(1_000))
    assert not copied
