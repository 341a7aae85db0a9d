"""What a model is asked, as the lanes are handed it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Question:
    model: str  # a litellm id
    messages: list[dict[str, Any]]  # in OpenAI's chat format, as this model takes them
    tools: Sequence[dict[str, Any]] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
