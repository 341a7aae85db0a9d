"""What a call cost: the provider's figures in one form, and the price that they are counted with.

The price is, in this order: ASSISTANT_PRICES; what the provider itself says that the call cost; nothing, for a model on
one's own machine; litellm's list. Otherwise nobody knows it, and it is None, which is not 0.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from assistant import catalogue, conf
from assistant.llm import facts, litellm_internals, ollama_show
from assistant.llm.pieces import Finish, Piece, Usage
from assistant.llm.reader import Raw, RawUsage
from assistant.llm.tokens import Tokens

MOST_TOKENS = 2**31 - 1  # what a column holds
COUNT_SECONDS = 1.0
MOST_DOLLARS = 10**7  # for one call; what is above is no price
_TICKS_PER_DOLLAR = 10**10  # xAI's unit (its documentation, "Cost tracking")

# Servers that people run themselves. Their programs also reach rented ones, by names that end so.
_OWN_PROVIDERS = frozenset({"ollama", "ollama_chat", "lm_studio", "llamafile", "lemonade", "docker_model_runner"})
_RENTED_ENDING = "cloud"
# Those that tell the cost with each answer, whatever the model.
_TELLING_PROVIDERS = frozenset({"openrouter", "perplexity", "xai"})


@dataclass(frozen=True, slots=True)
class _Form:
    """Where a protocol tells what; a dot leads into an object. Of each of the last three the first that is told counts."""

    read: tuple[str, ...]  # together they are all that was read
    written: tuple[str, ...]  # together they are all that was written
    cached: tuple[str, ...] = ()  # of what was read: from a cache
    cache_write: tuple[str, ...] = ()  # of what was read: put into a cache
    thought: tuple[str, ...] = ()  # of what was written: thinking


# Sources: OpenAI's "Chat Completions" and "Responses", Anthropic's "Messages", Gemini's "UsageMetadata", AWS's
# "TokenUsage", Ollama's "Chat", Cohere's "Chat V2", and for what others add to OpenAI's form the reference of each.
_FORMS = (
    _Form(
        read=("prompt_tokens",),
        written=("completion_tokens",),
        cached=(
            "prompt_tokens_details.cached_tokens", "cache_read_input_tokens",
            "prompt_cache_hit_tokens", "cached_tokens",
        ),  # the last two: DeepSeek, Moonshot
        cache_write=(
            "prompt_tokens_details.cache_creation_tokens", "prompt_tokens_details.cache_write_tokens",
            "cache_creation_input_tokens",
        ),
        thought=("completion_tokens_details.reasoning_tokens", "reasoning_tokens"),
    ),
    _Form(
        read=("promptTokenCount", "toolUsePromptTokenCount"),
        written=("candidatesTokenCount", "thoughtsTokenCount"),
        cached=("cachedContentTokenCount",),
        thought=("thoughtsTokenCount",),
    ),
    _Form(
        read=("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens"),
        written=("outputTokens",),
        cached=("cacheReadInputTokens",),
        cache_write=("cacheWriteInputTokens",),
    ),
    _Form(read=("prompt_eval_count",), written=("eval_count",)),
    _Form(read=("billed_units.input_tokens",), written=("billed_units.output_tokens",)),
    _Form(  # Anthropic's, and OpenAI's of its responses, where the caches are inside of what was read
        read=("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"),
        written=("output_tokens",),
        cached=("cache_read_input_tokens", "input_tokens_details.cached_tokens"),
        cache_write=("cache_creation_input_tokens",),
        thought=("output_tokens_details.thinking_tokens", "output_tokens_details.reasoning_tokens"),
    ),
)  # fmt: skip
# Written into Anthropic's cache for an hour, which costs more than for five minutes.
_FOR_AN_HOUR = (
    "cache_creation.ephemeral_1h_input_tokens",
    "prompt_tokens_details.cache_creation_token_details.ephemeral_1h_input_tokens",
)


def figures(model: str, usage: Mapping[str, Any]) -> dict[str, Any]:
    """A provider's usage object, as it came, in our form; {} if it tells nothing.

    {"prompt_tokens": all that was read, caches included, "completion_tokens": all that was written, thinking included,
    "total_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens": int, "cost": US dollars or None}. Whatever a
    provider sends, nothing is raised: odd figures must not cost the answer that came with them.
    """
    tokens = _tokens_of(model, usage) if isinstance(usage, Mapping) else None
    if tokens is None or not (tokens.read or tokens.written):
        return {}
    return _as_figures(tokens, _cost(model, tokens, _told(model, usage)))


def extended(model: str, told: Mapping[str, Any], completion_tokens: int) -> dict[str, Any]:
    """`figures` of a call that was cut off, with what has been written of it by then: nobody told that any more."""
    tokens = Tokens(
        told["prompt_tokens"],
        max(told["completion_tokens"], min(completion_tokens, MOST_TOKENS)),
        told.get("cached_tokens", 0),
        told.get("cache_write_tokens", 0),
        thought=told.get("reasoning_tokens", 0),
    )
    return _as_figures(tokens, _cost(model, tokens))


def cost(model: str, prompt_tokens: int, completion_tokens: int) -> float | None:
    """What that many tokens of `model` cost in US dollars, or None: nobody knows its price."""
    return _cost(model, Tokens(prompt_tokens, completion_tokens))


def is_priced(model: str) -> bool:
    """Whether it will be known what a call of `model` has cost."""
    return (
        _configured(model) is not None
        or _is_free(model)
        or _provider(model) in _TELLING_PROVIDERS
        or _is_listed(model)
    )


class Counting:
    """Of one request: its figures as they are passed on.

    The first ones at once, for the line may break; later ones once a second and at the end: some providers tell them with
    every piece, and to count them takes longer than to read it.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._held: RawUsage | None = None
        self._told_at = float("-inf")

    def counted(self, piece: Raw) -> Iterable[Piece]:
        if isinstance(piece, RawUsage):
            self._held = piece
            return self.rest() if time.monotonic() - self._told_at >= COUNT_SECONDS else ()
        return (*self.rest(), piece) if isinstance(piece, Finish) else (piece,)

    def rest(self) -> Iterable[Piece]:
        held, self._held = self._held, None
        found = held and figures(self._model, held.figures)
        if not found:
            return ()
        self._told_at = time.monotonic()
        return (Usage(found),)


# --- figures ---


def _tokens_of(model: str, usage: Mapping[str, Any]) -> Tokens | None:
    form = next(
        (form for form in _FORMS if any(_at(usage, name) is not None for name in form.read + form.written)), None
    )
    if form is None:
        return None
    read = min(sum(_number(_at(usage, name)) for name in form.read), MOST_TOKENS)
    written = sum(_number(_at(usage, name)) for name in form.written)
    thought = _first(usage, form.thought)
    beside = _thought_beside(model, usage, read, written, thought)
    written = min(written + beside, MOST_TOKENS)
    cached = min(_first(usage, form.cached), read)
    cache_write = min(_first(usage, form.cache_write), read - cached)
    hour = min(_first(usage, _FOR_AN_HOUR), cache_write)
    return Tokens(read, written, cached, cache_write, hour, min(thought or beside, written))


def _thought_beside(model: str, usage: Mapping[str, Any], read: int, written: int, thought: int) -> int:
    """Tokens of thinking that are in the total only: xAI's, and Gemini's by OpenAI's protocol, which doesn't name them."""
    rest = _number(usage.get("total_tokens")) - read - written
    if rest > 0 and (rest == thought or (not thought and "gemini" in model)):
        return rest
    return 0


def _as_figures(tokens: Tokens, cost: float | None) -> dict[str, Any]:
    return {
        "prompt_tokens": tokens.read,
        "completion_tokens": tokens.written,
        "total_tokens": min(tokens.read + tokens.written, MOST_TOKENS),
        "cost": cost,
        "cached_tokens": tokens.cached,
        "cache_write_tokens": tokens.cache_write,
        "reasoning_tokens": tokens.thought,
    }


def _at(usage: Any, name: str) -> Any:
    """What stands at `name`, whose dots lead into objects, or None."""
    for part in name.split("."):
        if not isinstance(usage, Mapping):
            return None
        usage = usage.get(part)
    return usage


def _first(usage: Mapping[str, Any], names: tuple[str, ...]) -> int:
    return next((number for name in names if (number := _number(_at(usage, name)))), 0)


def _number(told: Any) -> int:
    """A count, as many as can be stored; 0 for whatever is none."""
    if isinstance(told, str) and told.strip().isdecimal():
        told = int(told.strip()[:20])
    if isinstance(told, float) and isfinite(told):
        told = int(told)
    if isinstance(told, bool) or not isinstance(told, int):
        return 0
    return min(max(0, told), MOST_TOKENS)


# --- prices ---


def _cost(model: str, tokens: Tokens, told: float | None = None) -> float | None:
    if price := _configured(model):
        read, written, cached = price
        paid = (tokens.read - tokens.cached) * read + tokens.cached * cached + tokens.written * written
        return paid / 1_000_000
    if told is not None:
        return told
    if _is_free(model):
        return 0.0
    return _by_list(model, tokens) if _is_listed(model) else None


def _configured(model: str) -> tuple[float, float, float] | None:
    """ASSISTANT_PRICES' dollars for a million tokens: read, written, read from a cache."""
    prices = conf.settings.prices
    if model in prices:
        return prices[model]
    patterns = [name for name in prices if name.endswith("*") and model.startswith(name[:-1])]
    return prices[max(patterns, key=len)] if patterns else None


def _told(model: str, usage: Mapping[str, Any]) -> float | None:
    """US dollars, where the provider says what it charges: OpenRouter, Perplexity, xAI, gateways.

    Of others a 0 is no price: they have the field, and nothing to put there.
    """
    ticks = usage.get("cost_in_usd_ticks")
    if isinstance(ticks, int) and 0 < ticks < MOST_DOLLARS * _TICKS_PER_DOLLAR:
        return ticks / _TICKS_PER_DOLLAR
    said = usage.get("cost")
    if isinstance(said, Mapping):
        said = said.get("total_cost")
    cost = _dollars(said)
    if (
        cost is not None and usage.get("is_byok") is True
    ):  # OpenRouter's fee; the model is paid with a key of one's own
        cost += _dollars(_at(usage, "cost_details.upstream_inference_cost")) or 0.0
    return cost if cost or _provider(model) in _TELLING_PROVIDERS else None


def _dollars(told: Any) -> float | None:
    if isinstance(told, bool) or not isinstance(told, int | float) or not 0 <= told < MOST_DOLLARS:
        return None
    return float(told)


def _provider(model: str) -> str:
    return model.partition("/")[0]


def _is_free(model: str) -> bool:
    is_rented = model.endswith(_RENTED_ENDING) or ollama_show.address().endswith("ollama.com")
    return model == catalogue.DEMO or (_provider(model) in _OWN_PROVIDERS and not is_rented)


def _is_listed(model: str) -> bool:
    """Whether litellm lists a price. It answers 0 also for what it merely guesses, or lists without a price."""
    if _provider(model) in _OWN_PROVIDERS:
        return False  # its 0 is meant for servers of one's own
    entry = facts.entry_of(model)
    return any(
        entry.get(name) is not None for name in ("input_cost_per_token", "output_cost_per_token", "tiered_pricing")
    )


def _by_list(model: str, tokens: Tokens) -> float | None:
    try:
        return litellm_internals.cost_of(model, tokens)
    except Exception:  # it knows a price, and not how to use it
        return None
