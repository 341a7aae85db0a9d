"""Models that fail are asked again, replaced, or escalated; what has been said stands."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from assistant.llm.pieces import Finish, ModelError, Text
from assistant.worker import retries
from assistant.worker.retries import Pause, RetryPolicy, Switch
from tests.provider import ProviderProcess, expected_text

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # litellm trips over its own libraries'

QUESTION = [{"role": "user", "content": "Hello"}]
AFTER_TOOLS = [
    *QUESTION,
    {"role": "assistant", "content": None, "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
    ]},
    {"role": "tool", "tool_call_id": "c1", "content": "noon"},
]  # fmt: skip


@pytest.fixture
def provider(asked_here: ProviderProcess, monkeypatch: pytest.MonkeyPatch, settings: Any) -> ProviderProcess:
    monkeypatch.setattr(retries, "FIRST_PAUSE_SECONDS", 0.01)
    settings.ASSISTANT_TIMEOUT = 0.5
    return asked_here


class Asked:
    """What came of asking."""

    def __init__(self, loop: asyncio.Runner, model: str, messages: list[dict[str, Any]] = QUESTION) -> None:
        self.pieces: list[Any] = []
        self.error: ModelError | None = None
        self.policy = RetryPolicy(model)
        loop.run(self.ask(messages))

    async def ask(self, messages: list[dict[str, Any]]) -> None:
        try:
            async with aclosing(self.policy.stream(messages)) as pieces:
                async for piece in pieces:
                    self.pieces.append(piece)
        except ModelError as error:
            self.error = error

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces if isinstance(piece, Text))

    @property
    def steps(self) -> list[Any]:
        return [piece for piece in self.pieces if isinstance(piece, Pause | Switch)]

    @property
    def tried(self) -> list[tuple[str, str]]:
        return [(one.model, one.code) for one in self.policy.tried]


@pytest.mark.parametrize("status", ["500", "502", "503", "429"])
def test_a_transient_failure_is_asked_again_in_place(provider, loop, status):
    model = f"openai/words-{status}-fails=2"
    asked = Asked(loop, model)
    assert asked.error is None and asked.text == expected_text("openai/words", "")
    assert [type(step) for step in asked.steps] == [Pause, Pause]
    assert len(provider.requests()) == 3 and len(asked.tried) == 2
    assert asked.policy.model == model


@pytest.mark.parametrize("fault", ["400", "401", "404", "quota", "context", "policy"])
def test_what_would_fail_again_is_not_asked_again(provider, loop, fault):
    asked = Asked(loop, f"openai/words-{fault}")
    assert asked.error is not None and asked.steps == []
    assert len(provider.requests()) == 1


def test_the_number_of_retries_is_bounded_and_the_last_error_is_raised(provider, loop, settings):
    settings.ASSISTANT_RETRIES = 3
    asked = Asked(loop, "openai/words-503")
    assert asked.error is not None and asked.error.code == "provider_error"
    assert len(provider.requests()) == 4
    assert [one.code for one in asked.policy.tried] == ["provider_error"] * 4


def test_pauses_grow_and_scatter_and_keep_what_the_provider_asks_for(monkeypatch):
    monkeypatch.setattr(retries, "FIRST_PAUSE_SECONDS", 1.0)
    busy = ModelError("rate_limited", "", is_transient=True)
    first = {retries.pause_seconds(busy, 0) for _ in range(50)}
    second = {retries.pause_seconds(busy, 1) for _ in range(50)}
    assert len(first) > 40 and 0.5 <= min(first) <= max(first) <= 1.0 <= min(second) <= max(second) <= 2.0
    said = ModelError("rate_limited", "", is_transient=True, retry_after=7.0)
    assert retries.pause_seconds(said, 0) == 7.0
    too_long = ModelError("rate_limited", "", is_transient=True, retry_after=3600.0)
    assert retries.pause_seconds(too_long, 0) is None


def test_the_providers_retry_after_is_heard(provider, loop, monkeypatch):
    monkeypatch.setattr(retries, "FIRST_PAUSE_SECONDS", 0.0)
    asked = Asked(loop, "openai/words-429-retryafter=1-fails=1")
    assert [step.seconds for step in asked.steps] == [1.0]
    assert asked.text == expected_text("openai/words", "")


def test_what_has_been_said_stands(provider, loop, settings):
    """A second request would say it in other words, behind the people's backs."""
    settings.ASSISTANT_FALLBACK_MODELS = ["openai/words-tag=other"]
    asked = Asked(loop, "openai/words-cut=5")
    assert asked.error is not None and asked.text.split() == expected_text("openai/words-n5", "").split()
    assert len(provider.requests()) == 1 and asked.steps == []


@pytest.mark.parametrize("fault", ["401", "404", "quota", "hang"])
def test_fallback_models_are_asked_in_their_order(provider, loop, settings, fault):
    settings.ASSISTANT_RETRIES = 0
    settings.ASSISTANT_FALLBACK_MODELS = ["openai/words-503-tag=b", "openai/words-n3-tag=c", "openai/words-tag=d"]
    asked = Asked(loop, f"openai/words-{fault}")
    assert asked.error is None and asked.text == expected_text("openai/words-n3", "")
    assert asked.policy.model == "openai/words-n3-tag=c"
    assert [model for model, _ in asked.tried] == [f"openai/words-{fault}", "openai/words-503-tag=b"]


def test_a_question_that_a_provider_refuses_is_not_passed_round(provider, loop, settings):
    settings.ASSISTANT_FALLBACK_MODELS = ["openai/words-tag=other"]
    asked = Asked(loop, "openai/words-policy")
    assert asked.error is not None and asked.error.code == "content_filtered"
    assert len(provider.requests()) == 1


def test_the_model_that_took_over_keeps_the_turn(provider, loop, settings):
    settings.ASSISTANT_FALLBACK_MODELS = ["openai/words-n3"]
    asked = Asked(loop, "openai/words-401")
    loop.run(asked.ask(QUESTION))
    assert [request["model"] for request in provider.requests()] == ["words-401", "words-n3", "words-n3"]


def test_a_model_that_stalls_after_its_tools_is_escalated_once(provider, loop, settings):
    settings.ASSISTANT_ESCALATION_MODEL = "openai/words-n3-tag=strong"
    asked = Asked(loop, "openai/empty", AFTER_TOOLS)
    assert asked.text == expected_text("openai/words-n3", "")
    assert asked.steps == [Switch("openai/words-n3-tag=strong", "stalled")]
    assert asked.tried == [("openai/empty", "stalled")]
    assert [piece for piece in asked.pieces if isinstance(piece, Finish)] == [Finish("stop")]


def test_a_strong_model_that_stalls_too_is_the_end(provider, loop, settings):
    settings.ASSISTANT_ESCALATION_MODEL = "openai/empty-tag=strong"
    asked = Asked(loop, "openai/empty", AFTER_TOOLS)
    assert asked.text == "" and asked.error is None
    assert len(provider.requests()) == 2
    assert asked.pieces[-1] == Finish("stop")


@pytest.mark.parametrize("reason", ["content_filter", "refusal"])
def test_a_silent_refusal_after_tools_is_no_stall(loop, settings, reason):
    """The model, or its provider's filter, has decided: a stronger one is not asked for what this one declines."""
    settings.ASSISTANT_ESCALATION_MODEL = "openai/words"

    async def source(model, messages, tools, parameters):
        yield Finish(reason)

    async def scenario():
        policy = RetryPolicy("openai/empty", source)
        async with aclosing(policy.stream(AFTER_TOOLS)) as pieces:
            return [piece async for piece in pieces]

    assert loop.run(scenario()) == [Finish(reason)]


def test_an_empty_answer_without_tools_is_not_escalated(provider, loop, settings):
    settings.ASSISTANT_ESCALATION_MODEL = "openai/words"
    assert Asked(loop, "openai/empty").text == ""
    assert len(provider.requests()) == 1
