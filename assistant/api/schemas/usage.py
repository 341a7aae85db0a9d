"""What models have cost."""

from __future__ import annotations

from ninja import Schema
from pydantic import Field


class Usage(Schema):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_tokens: int = Field(description="Of the prompt's: read from the provider's cache.")
    cache_write_tokens: int = Field(description="Of the prompt's: put into its cache.")
    reasoning_tokens: int = Field(description="Of the completion's: thinking.")
    cost: float | None
    has_unknown_cost: bool
    calls: int
    is_estimate: bool


class ModelUsage(Usage):
    model: str


class SessionUsage(Usage):
    models: list[ModelUsage]


class DayUsage(Usage):
    day: str


class Budget(Schema):
    tokens_per_day: int | None
    cost_per_day: float | None
    used_tokens: int
    used_cost: float
    is_spent: bool
    seconds_to_reset: int


class OwnUsage(Usage):
    budget: Budget
    days: list[DayUsage]
    models: list[ModelUsage]
