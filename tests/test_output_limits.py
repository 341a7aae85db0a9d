"""No answer is cut at a limit that somebody guessed, and none fails for a limit that is too high."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest

from assistant import llm
from assistant.llm import facts, limits
from assistant.llm.pieces import Finish, Text
from tests.protocols import ProtocolsProcess

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

SHORT = [{"role": "user", "content": "Hello?"}]
CLAUDE = "anthropic/claude-sonnet-4-5"  # reads 200,000 tokens and writes 64,000


def of(tokens: int) -> list[dict[str, Any]]:
    return [{"role": "user", "content": "x" * 4 * tokens}]


# --- what is asked for ---


@pytest.mark.parametrize(
    ("model", "lines", "parameters", "limit"),
    [
        (CLAUDE, SHORT, {}, 64_000),
        ("anthropic/claude-next", SHORT, {}, 64_000),
        ("bedrock/anthropic.claude-opus-4-20250514-v1:0", SHORT, {}, 32_000),
        (CLAUDE, of(130_000), {}, 44_000),  # what is left, with room for an estimate that is too low
        (CLAUDE, of(190_000), {}, 4_096),
        ("anthropic/claude-3-opus-custom", of(190_000), {}, 4_096),
        (CLAUDE, SHORT, {"max_tokens": 20}, 20),
        ("openai/gpt-4o", SHORT, {}, None),  # others know theirs
        ("bedrock/amazon.nova-pro-v1:0", SHORT, {}, None),
        ("openrouter/anthropic/claude-sonnet-4.5", SHORT, {}, None),
    ],
)
def test_claude_is_told_a_limit_that_cuts_nothing(model, lines, parameters, limit):
    assert limits.fitting(model, lines, (), parameters).get("max_tokens") == limit


def test_a_limit_that_was_refused_is_not_asked_for_again(monkeypatch):
    monkeypatch.setattr(facts, "output_limits", {"deepseek/x": 8_192})
    assert limits.fitting("deepseek/x", SHORT, (), {"max_tokens": 50_000, "top_p": 1}) == {
        "max_tokens": 8_192,
        "top_p": 1,
    }
    assert limits.fitting("deepseek/x", SHORT, (), {"max_tokens": 50}) == {"max_tokens": 50}


@pytest.mark.parametrize(
    ("options", "limit"),
    [
        ({"max_tokens": 1_000, "thinking": {"type": "enabled", "budget_tokens": 4_096}}, 5_096),
        ({"max_tokens": 8_000, "thinking": {"type": "enabled", "budget_tokens": 4_096}}, 8_000),
        ({"max_tokens": 1_000, "thinking": {"type": "adaptive"}}, 1_000),
        ({"max_tokens": 1_000}, 1_000),
    ],
)
def test_what_may_be_thought_takes_nothing_from_the_answer(options, limit):
    assert limits.above_thinking(options) == options | {"max_tokens": limit}


# --- what is refused ---

REFUSALS = [
    ("max_tokens: 64000 > 8192, which is the maximum allowed number of output tokens for claude-x", 8_192, True),
    ("max_tokens is too large: 100000. This model supports at most 16384 completion tokens, whereas ...", 16_384, True),
    ("The maximum tokens you requested exceeds the model limit of 4096. Try again with a lower value.", 4_096, True),
    ("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]", 8_192, True),
    ("<400> InternalError: Range of max_tokens should be [1, 8192]", 8_192, True),
    ("`max_tokens` must be less than or equal to `32768`, the maximum value for it is less than ...", 32_768, True),
    ("a maxOutputTokens value of 90000 but the supported range is from 1 (inclusive) to 65537 (exclusive)", 65_536, True),
    ("'max_tokens' or 'max_completion_tokens' is too large: 64000. This model's maximum context length is 8192 tokens "
     "and your request has 1192 input tokens (64000 > 8192 - 1192).", 7_000, False),
    ("input length and `max_tokens` exceed context limit: 150000 + 64000 > 200000, decrease input length", 50_000, False),
]  # fmt: skip


@pytest.mark.parametrize(("said", "most", "is_models"), REFUSALS)
def test_a_limit_that_a_provider_names_is_read_from_its_words(said, most, is_models):
    body = {"model": "m", "max_tokens": 99_000}
    assert limits.lowered(body, {"error": {"message": said}}) == (
        body | {"max_tokens": most},
        most if is_models else None,
    )


def test_a_limit_is_lowered_wherever_it_stands_and_only_lowered():
    said = "max_tokens: 64000 > 8192, which is the maximum allowed number of output tokens for claude-x"
    for outside, inside in (("generationConfig", "maxOutputTokens"), ("options", "num_predict")):
        found = limits.lowered({outside: {inside: 64_000, "topK": 1}}, said)
        assert found == ({outside: {inside: 8_192, "topK": 1}}, 8_192)
    for body in ({"max_tokens": 8_192}, {"messages": []}, {"max_tokens": True}):
        assert limits.lowered(body, said) is None
    assert limits.lowered({"max_tokens": 64_000}, "prompt is too long: 210000 tokens > 200000 maximum") is None


# --- asked again ---

Ask = Callable[..., list[Any]]


@pytest.fixture
def ask(loop: asyncio.Runner, protocols: ProtocolsProcess, monkeypatch: pytest.MonkeyPatch) -> Ask:
    monkeypatch.setattr(facts, "output_limits", {})

    async def pieces(model: str, parameters: dict[str, Any]) -> list[Any]:
        async with aclosing(llm.stream(model, SHORT, parameters=parameters)) as stream:
            return [piece async for piece in stream]

    return lambda model, **parameters: loop.run(pieces(model, parameters))


@pytest.mark.parametrize("lane", [True, False], ids=["fast", "litellm's"])
def test_a_limit_that_is_too_high_costs_one_request_and_no_answer(ask, protocols, settings, lane):
    settings.ASSISTANT_FAST_LANE = lane
    for times in (2, 3):  # the second question knows it
        pieces = ask("deepseek/deepseek-chat~words-n3", max_tokens=900_000)
        assert "".join(piece.text for piece in pieces if isinstance(piece, Text)) == "w0 w1 w2"
        assert pieces[-1] == Finish("stop") and len(protocols.requests()) == times
    assert protocols.last()["body"]["max_tokens"] == facts.named_output_limit("deepseek/deepseek-chat~words-n3")


def test_claude_may_write_and_think_as_much_as_it_can(ask, protocols):
    ask("anthropic/claude-sonnet-4-5~words-n3", reasoning_effort="high")
    body = protocols.last()["body"]
    assert protocols.problems() == [] and body["max_tokens"] == 64_000 > body["thinking"]["budget_tokens"]


def test_a_short_answer_may_be_thought_about_at_length(ask, protocols):
    ask("anthropic/claude-sonnet-4-5~words-n3", reasoning_effort="high", max_tokens=100)
    assert protocols.problems() == []
