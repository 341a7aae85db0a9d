"""What a call costs: every provider's figures read right, at the price that it charges; unknown is unknown."""

from __future__ import annotations

import pytest

from assistant import llm
from assistant.llm import money
from assistant.llm.pieces import Finish, Text, Usage
from assistant.llm.reader import RawUsage

# litellm trips over its own libraries' warnings, which are errors in these tests.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

CLAUDE = "anthropic/claude-sonnet-4-5"  # per million: 3 read, 0.30 from the cache, 3.75 (6 for an hour) into it; 15 written
MINI = "openai/gpt-5-mini"  # 0.25, 0.025 from the cache; 2
PRO = "gemini/gemini-2.5-pro"  # 1.25, above 200,000 tokens 2.50, of the cache a tenth; 10, above them 15
SEEK = "deepseek/deepseek-chat"  # 0.28, 0.028 from the cache; 0.42


def figures(model, usage):
    """(read, written, from a cache, into a cache, thinking, dollars)"""
    found = money.figures(model, usage)
    assert found["total_tokens"] == found["prompt_tokens"] + found["completion_tokens"]
    names = (
        "prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens", "cost",
    )  # fmt: skip
    return tuple(found[name] for name in names)


def dollars(**millions):
    """`dollars(a=(tokens, price), ...)`: prices are of a million tokens."""
    return pytest.approx(sum(tokens * price for tokens, price in millions.values()) / 1_000_000, rel=1e-9)


# --- in whichever form they come ---

FORMS = {
    "Anthropic's, much of it from a cache": (
        CLAUDE,
        {"input_tokens": 1_000, "cache_read_input_tokens": 10_000, "cache_creation_input_tokens": 0,
         "output_tokens": 100, "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}},
        (11_000, 100, 10_000, 0, 0, dollars(new=(1_000, 3), cached=(10_000, 0.3), written=(100, 15))),
    ),
    "Anthropic's, much of it into a cache, some for an hour, with thinking": (
        CLAUDE,
        {"input_tokens": 1_000, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 10_000,
         "cache_creation": {"ephemeral_5m_input_tokens": 6_000, "ephemeral_1h_input_tokens": 4_000},
         "output_tokens": 100, "output_tokens_details": {"thinking_tokens": 60}},
        (11_000, 100, 0, 10_000, 60,
         dollars(new=(1_000, 3), brief=(6_000, 3.75), hour=(4_000, 6), written=(100, 15))),
    ),
    "Anthropic's, as litellm tells it": (
        CLAUDE,
        {"prompt_tokens": 11_000, "completion_tokens": 100, "total_tokens": 11_100, "cache_read_input_tokens": 10_000,
         "cache_creation_input_tokens": 0, "prompt_tokens_details": {"cached_tokens": 10_000, "text_tokens": 1_000}},
        (11_000, 100, 10_000, 0, 0, dollars(new=(1_000, 3), cached=(10_000, 0.3), written=(100, 15))),
    ),
    "OpenAI's": (
        MINI,
        {"prompt_tokens": 2_000, "completion_tokens": 1_000, "total_tokens": 3_000,
         "prompt_tokens_details": {"cached_tokens": 1_024, "audio_tokens": 0},
         "completion_tokens_details": {"reasoning_tokens": 640, "audio_tokens": 0}},
        (2_000, 1_000, 1_024, 0, 640, dollars(new=(976, 0.25), cached=(1_024, 0.025), written=(1_000, 2))),
    ),
    "OpenAI's of its responses": (
        MINI,
        {"input_tokens": 2_000, "input_tokens_details": {"cached_tokens": 1_024}, "output_tokens": 1_000,
         "output_tokens_details": {"reasoning_tokens": 640}, "total_tokens": 3_000},
        (2_000, 1_000, 1_024, 0, 640, dollars(new=(976, 0.25), cached=(1_024, 0.025), written=(1_000, 2))),
    ),
    "Gemini's, whose thoughts stand beside its words, above 200,000 tokens": (
        PRO,
        {"promptTokenCount": 250_000, "cachedContentTokenCount": 50_000, "candidatesTokenCount": 300,
         "thoughtsTokenCount": 700, "totalTokenCount": 251_000},
        (250_000, 1_000, 50_000, 0, 700,
         dollars(new=(200_000, 2.5), cached=(50_000, 0.25), written=(1_000, 15))),
    ),
    "Gemini's, with what its own tools have read, and no words yet": (
        PRO,
        {"promptTokenCount": 100, "toolUsePromptTokenCount": 900, "thoughtsTokenCount": 50, "totalTokenCount": 1_050},
        (1_000, 50, 0, 0, 50, dollars(new=(1_000, 1.25), written=(50, 10))),
    ),
    "Gemini's by OpenAI's protocol, which names its thoughts nowhere": (
        PRO,
        {"prompt_tokens": 100, "completion_tokens": 30, "total_tokens": 500},
        (100, 400, 0, 0, 370, dollars(new=(100, 1.25), written=(400, 10))),
    ),
    "DeepSeek's": (
        SEEK,
        {"prompt_tokens": 1_000, "prompt_cache_hit_tokens": 640, "prompt_cache_miss_tokens": 360,
         "completion_tokens": 100, "total_tokens": 1_100, "completion_tokens_details": {"reasoning_tokens": 80}},
        (1_000, 100, 640, 0, 80, dollars(new=(360, 0.28), cached=(640, 0.028), written=(100, 0.42))),
    ),
    "xAI's, whose thoughts stand beside its words, and who says what it costs": (
        "xai/grok-unlisted",
        {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 500, "cost_in_usd_ticks": 2_709_000,
         "completion_tokens_details": {"reasoning_tokens": 390}},
        (100, 400, 0, 0, 390, pytest.approx(0.0002709)),
    ),
    "OpenRouter's, who says what it costs": (
        "openrouter/some/model",
        {"prompt_tokens": 194, "completion_tokens": 2, "total_tokens": 196, "cost": 0.95,
         "prompt_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 100},
         "completion_tokens_details": {"reasoning_tokens": 0}, "cost_details": {"upstream_inference_cost": None}},
        (194, 2, 20, 100, 0, 0.95),
    ),
    "OpenRouter's, for a key of one's own": (
        "openrouter/some/model",
        {"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.05, "is_byok": True,
         "cost_details": {"upstream_inference_cost": 1.0}},
        (1, 1, 0, 0, 0, pytest.approx(1.05)),
    ),
    "Perplexity's, who says what it costs": (
        "perplexity/sonar",
        {"prompt_tokens": 8, "completion_tokens": 9, "total_tokens": 17, "cost": {"total_cost": 0.006}},
        (8, 9, 0, 0, 0, 0.006),
    ),
    "Bedrock's, whose caches stand beside what was read": (
        "bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0",
        {"inputTokens": 1_000, "cacheReadInputTokens": 10_000, "cacheWriteInputTokens": 0, "outputTokens": 100,
         "totalTokens": 11_100},
        (11_000, 100, 10_000, 0, 0, dollars(new=(1_000, 3), cached=(10_000, 0.3), written=(100, 15))),
    ),
    "Moonshot's": (
        "moonshot/unlisted",
        {"prompt_tokens": 90, "completion_tokens": 1, "cached_tokens": 64},
        (90, 1, 64, 0, 0, None),
    ),
    "Cohere's": (
        "cohere/unlisted",
        {"billed_units": {"input_tokens": 5, "output_tokens": 7}, "tokens": {"input_tokens": 70}},
        (5, 7, 0, 0, 0, None),
    ),
    "Ollama's": (
        "ollama_chat/anything",
        {"model": "anything", "done": True, "total_duration": 5, "prompt_eval_count": 26, "eval_count": 298},
        (26, 298, 0, 0, 0, 0.0),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("model", "usage", "found"), FORMS.values(), ids=FORMS)
def test_what_a_provider_tells_is_counted_and_costs_what_it_charges(model, usage, found):
    assert figures(model, usage) == found


@pytest.mark.parametrize(
    "told", [-1, 10**30, 10**400, "7", "many", 1.5, float("nan"), float("inf"), None, [], {}, True]
)
def test_odd_figures_cost_no_answer(told):
    found = money.figures(
        MINI,
        {
            "prompt_tokens": told, "completion_tokens": 5, "total_tokens": told, "cost": told,
            "cost_in_usd_ticks": told,
            "prompt_tokens_details": told, "completion_tokens_details": {"reasoning_tokens": told},
        },
    )  # fmt: skip
    assert 0 <= found["prompt_tokens"] < 2**31 and found["completion_tokens"] == 5
    assert 0 <= found["reasoning_tokens"] <= 5 and found["cost"] >= 0


@pytest.mark.parametrize("usage", ["a lot", None, [], 7, {}, {"prompt_tokens": 0, "completion_tokens": 0}, {"x": 1}])
def test_what_tells_nothing_is_not_taken_for_nothing_used(usage):
    assert money.figures(MINI, usage) == {}


def test_parts_are_never_more_than_the_whole():
    usage = {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 50, "cache_write_tokens": 50},
             "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 9}}  # fmt: skip
    assert figures("openai/unlisted", usage) == (10, 5, 10, 0, 5, None)


def test_a_call_that_was_cut_off_costs_what_was_read_and_what_came():
    told = money.figures(CLAUDE, {"input_tokens": 1_000, "cache_read_input_tokens": 10_000, "output_tokens": 1})
    found = llm.extended(CLAUDE, told, 100)
    assert found == money.figures(
        CLAUDE, {"input_tokens": 1_000, "cache_read_input_tokens": 10_000, "output_tokens": 100}
    )
    assert llm.extended(CLAUDE, found, 7) == found, "what the provider has told is no less for that"


def test_figures_that_come_with_every_piece_are_counted_at_the_beginning_and_at_the_end(monkeypatch):
    counted = []
    monkeypatch.setattr(money, "figures", lambda model, usage: counted.append(usage) or dict(usage))
    counting = money.Counting(MINI)
    raw = [piece for n in range(1, 100) for piece in (Text("x"), RawUsage({"eval_count": n}))]
    told = [piece for one in [*raw, Finish("stop")] for piece in counting.counted(one)]
    assert [piece.figures["eval_count"] for piece in told if isinstance(piece, Usage)] == [1, 99] and len(
        counted
    ) == 2
    assert len(told) == 99 + 2 + 1 and told[-1] == Finish("stop") and list(counting.rest()) == []


def test_figures_that_were_held_back_come_before_the_error():
    counting = money.Counting(MINI)
    for n in (1, 2):
        list(counting.counted(RawUsage({"prompt_tokens": 10, "completion_tokens": n})))
    (last,) = counting.rest()
    assert last.figures["completion_tokens"] == 2


# --- prices ---


@pytest.mark.parametrize(
    "model",
    ["anthropic/claude-opus-99", "openai/unlisted", "openrouter/anthropic/claude-next", "hosted_vllm/x",
     "github_copilot/gpt-4o", "huggingface/a/b", "nonsense", "ollama/gpt-oss:120b-cloud"],
)  # fmt: skip
def test_a_price_that_nobody_knows_is_unknown_and_not_nothing(model):
    assert llm.cost(model, 1_000, 1_000) is None


@pytest.mark.parametrize(
    ("model", "priced"),
    [
        ("demo/assistant", True), ("ollama/llama3", True), ("lm_studio/x", True), (CLAUDE, True),
        ("gemini/gemma-3-27b-it", True),  # listed, and free
        ("dashscope/qwen3-max", True),  # in tiers only
        ("openrouter/anthropic/claude-next", True),  # it says so itself
        ("anthropic/claude-opus-99", False), ("openai/unlisted", False), ("github_copilot/gpt-4o", False),
    ],
)  # fmt: skip
def test_whether_a_call_will_have_a_price_is_known_before_it_is_made(model, priced):
    assert llm.is_priced(model) is priced


def test_a_server_of_ones_own_is_free_and_a_rented_one_is_not(monkeypatch):
    assert llm.cost("ollama/llama3", 10, 10) == 0.0
    monkeypatch.setenv("OLLAMA_API_BASE", "https://ollama.com")
    assert llm.cost("ollama/llama3", 10, 10) is None


def test_a_configured_price_is_the_one_that_counts(settings):
    settings.ASSISTANT_PRICES = {
        "hosted_vllm/*": (1.0, 2.0, 0.1),
        "hosted_vllm/big*": (5.0, 5.0, 5.0),
        MINI: (0.0, 1.0, 0.0),
    }
    usage = {"prompt_tokens": 1_000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 400},
             "cost": 7.0}  # fmt: skip
    assert figures("hosted_vllm/x", usage)[-1] == dollars(new=(600, 1), cached=(400, 0.1), written=(100, 2))
    assert figures("hosted_vllm/bigger", usage)[-1] == dollars(all=(1_100, 5))
    assert figures(MINI, usage)[-1] == dollars(written=(100, 1))
    assert llm.is_priced("hosted_vllm/x") and not llm.is_priced("hosted_vll")


def test_a_cost_of_0_is_believed_only_of_those_who_tell_costs():
    usage = {"prompt_tokens": 1_000, "completion_tokens": 0, "cost": 0}
    assert figures("openrouter/some/model:free", usage)[-1] == 0.0
    assert figures("openai/unlisted", usage)[-1] is None
    assert figures(MINI, usage)[-1] == dollars(new=(1_000, 0.25))
