"""Whether what a model sent, and how it ended, is an answer. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assistant import llm
from assistant.failures import CUTS, REFUSED, sentence
from assistant.lifecycle.endings import Failure
from assistant.models.message import Cut
from assistant.worker.outcomes import Failed, Succeeded

TOO_MANY_ROUNDS = (
    "The model went on asking for tools and gave no answer. What it did is kept; ask for less at once, or try again."
)
LIMIT_TOO_LOW = (
    "The longest answer that this session’s settings allow was used up before the first word, by what the model thought. "
    "Allow a longer one."
)
LIMIT_SHARE = 0.9  # of the limit; some providers stop a little before it


def verdict(
    finish: str | None, *, is_blank: bool, parameters: Mapping[str, Any], usage: Mapping[str, Any] | None
) -> Succeeded | Failed:
    """`finish` as `llm.Finish` says it; `is_blank`: this round has brought nothing that an answer is made of."""
    if finish == "length" and _is_at_limit(parameters, usage):
        return Failed(Failure("incomplete_response", LIMIT_TOO_LOW)) if is_blank else Succeeded(Cut.LIMIT)
    if finish in REFUSED:
        return Failed(Failure.of("refusal" if finish == "refusal" else "content_filtered"))
    if is_blank and finish not in CUTS:
        return Failed(Failure.of("empty_response"))
    if finish not in llm.COMPLETE:
        return Failed(Failure("incomplete_response", CUTS.get(finish or "", sentence("incomplete_response"))))
    return Succeeded()


def verdict_of_last(*, is_blank: bool) -> Succeeded | Failed:
    """The model was asked to answer without tools, and asked for tools."""
    return Failed(Failure("incomplete_response", TOO_MANY_ROUNDS)) if is_blank else Succeeded()


def _is_at_limit(parameters: Mapping[str, Any], usage: Mapping[str, Any] | None) -> bool:
    """Whether what cut the answer is the limit that its people have set, and not a lower one of the model's own."""
    limit = parameters.get("max_completion_tokens") or parameters.get("max_tokens") or 0
    written = (usage or {}).get("completion_tokens") or limit
    return bool(limit) and written >= LIMIT_SHARE * limit
