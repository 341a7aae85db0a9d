"""How long an answer may become: the limit that a request names, and a lower one that its provider names instead.

Claude's API wants one in each request. litellm's own choice for a Claude that it doesn't list is 4,096 tokens, thinking
included, and for one that thinks 4,096 more than it may think: both cut answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from assistant.llm import facts
from assistant.llm.error_body import said_in
from assistant.llm.tokens import BYTES_PER_TOKEN, weight

LEAST_TOKENS = 4_096  # of an answer, however full the model is
_ROOM = 1.2  # of an estimated prompt: some APIs refuse what could come to more than the model reads
_WANTING = frozenset({"anthropic", "bedrock", "vertex_ai"})  # of Claude
_NAMES = ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens", "num_predict")

# What providers say to a limit that is too high; the number is the highest that they take.
_OUTPUT = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"max_tokens: \d+ > (\d+), which is the maximum allowed number of output tokens",  # Anthropic
        r"supports at most (\d+) (?:completion|output) tokens",  # OpenAI
        r"maximum tokens you requested exceeds the model limit of (\d+)",  # Bedrock
        r"range of max_(?:completion_)?tokens (?:is|should be) \[\d+, ?(\d+)\]",  # DeepSeek, DashScope
        r"max_(?:completion_)?tokens`? must be less than or equal to `?(\d+)",  # Groq
    )
)
_BELOW = re.compile(
    r"maxOutputTokens value of \d+ but the supported range is from \d+ \(inclusive\) to (\d+) \(exclusive\)"
)
# vLLM's, and of Claude's older ones, to a limit that doesn't fit behind this prompt.
_BESIDE = (
    re.compile(r"max_\w*tokens\W.{0,200}\((?:\d+) > (\d+) ?- ?(\d+)\)", re.DOTALL),
    re.compile(r"input length and `?max_tokens`? exceed context limit: (\d+) \+ \d+ > (\d+)"),
)


def fitting(
    model: str, lines: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]], parameters: Mapping[str, Any]
) -> Mapping[str, Any]:
    """`parameters` (by litellm's names) with a limit where `model` wants one, and none that its provider refuses."""
    if "claude" in model:
        parameters = _sampling_of_claude(parameters)
    if own := parameters.get("max_completion_tokens") or parameters.get("max_tokens"):
        named = facts.named_output_limit(model)
        if named is None or own <= named:
            return parameters
        return {name: min(value, named) if name in _NAMES else value for name, value in parameters.items()}
    provider = model.partition("/")[0]
    if provider not in _WANTING or not (provider == "anthropic" or "claude" in model):
        return parameters
    if (known := facts.output_limit(model)) is None:
        return parameters
    reads = facts.limit(model)
    room = known if reads is None else reads - round(_ROOM * weight([*lines, *tools])) // BYTES_PER_TOKEN
    return {**parameters, "max_tokens": max(min(known, room), min(known, LEAST_TOKENS))}


def above_thinking(options: Mapping[str, Any]) -> dict[str, Any]:
    """Anthropic's `options` with a limit that leaves people the answer that they wanted, beside what it may think."""
    thinking, limit = options.get("thinking"), options.get("max_tokens")
    budget = thinking.get("budget_tokens") if isinstance(thinking, Mapping) else None
    if isinstance(budget, int) and isinstance(limit, int) and limit <= budget:
        return {**options, "max_tokens": budget + limit}
    return dict(options)


def _sampling_of_claude(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Without what Claude refuses beside thinking (a temperature but 1, a `top_p` below 0.95, `top_k`), and with either a
    temperature or a `top_p`. Source: Anthropic's guide "Extended thinking"."""
    fitting = dict(parameters)
    if parameters.get("thinking") or parameters.get("reasoning_effort") not in (None, "none", "disable"):
        fitting.pop("top_k", None)
        if fitting.get("temperature") != 1:
            fitting.pop("temperature", None)
        if (fitting.get("top_p") or 0) < 0.95:
            fitting.pop("top_p", None)
    if fitting.get("temperature") is not None:
        fitting.pop("top_p", None)
    return fitting


def lowered(body: Mapping[str, Any], refusal: Any) -> tuple[dict[str, Any], int | None] | None:
    """A request's `body` (or litellm's parameters) with the limit that its `refusal` names, and, if that is one of the
    model's whatever the prompt, that limit. None: it is refused for something else."""
    said = said_in(refusal).text
    most, is_models = _named_in(said)
    if most is None or most < 1:
        return None
    shorter = _with_limit(body, most)
    return None if shorter is None else (shorter, most if is_models else None)


def _named_in(said: str) -> tuple[int | None, bool]:
    for pattern in _OUTPUT:
        if found := pattern.search(said):
            return int(found[1]), True
    if found := _BELOW.search(said):
        return int(found[1]) - 1, True
    if found := _BESIDE[0].search(said):
        return int(found[1]) - int(found[2]), False
    if found := _BESIDE[1].search(said):
        return int(found[2]) - int(found[1]), False
    return None, False


def _with_limit(body: Mapping[str, Any], most: int) -> dict[str, Any] | None:
    """None: it names no higher limit."""
    for name, value in body.items():
        if name in _NAMES and isinstance(value, int) and value > most:
            return {**body, name: most}
        is_inside = name in ("generationConfig", "options") and isinstance(value, Mapping)
        if is_inside and (inner := _with_limit(value, most)) is not None:
            return {**body, name: inner}
    return None
