"""What a call cost: the provider's figures, and litellm's prices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assistant import catalogue
from assistant.llm.library import library


def figures(model: str, usage: Mapping[str, Any]) -> dict[str, Any]:
    asked, said = _tokens(usage.get("prompt_tokens")), _tokens(usage.get("completion_tokens"))
    total = _tokens(usage.get("total_tokens")) or asked + said
    return {
        "prompt_tokens": asked,
        "completion_tokens": said,
        "total_tokens": total,
        "cost": cost(model, asked, said),
    }


def _tokens(told: Any) -> int:
    """As many as can be stored: a provider's odd figures must not cost the answer that came with them."""
    return min(max(0, told), 2**31 - 1) if isinstance(told, int) else 0


def cost(model: str, prompt_tokens: int, completion_tokens: int) -> float | None:
    """What that many tokens of `model` cost in US dollars, or None: litellm knows no price for it."""
    if model == catalogue.DEMO:
        return 0.0
    try:
        return float(
            sum(
                library().cost_per_token(
                    model=model, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens
                )
            )
        )
    except Exception:
        return None
