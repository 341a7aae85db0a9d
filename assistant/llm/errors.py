"""What a provider's error means: one of our categories for whatever litellm or the network raised."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from assistant.llm.library import library
from assistant.pieces import ModelError


def translated(error: Exception) -> ModelError:
    """One of our categories for whatever litellm or the network raised."""
    litellm = library()
    raw = f"{type(error).__name__}: {error}"[:2000]
    # An error in mid stream is wrapped; what happened is inside, and a network error is inside that one's context.
    inner = getattr(error, "original_exception", None) or error
    chain = [error, inner, inner.__context__, inner.__cause__]
    code = _category(litellm, chain, raw)
    return ModelError(code, raw, is_transient=_is_transient(code, chain, raw), retry_after=_retry_after(chain))


def _category(litellm: Any, chain: list[Any], raw: str) -> str:
    # The order matters: litellm's classes are subclasses of each other.
    categories: tuple[tuple[str, tuple[type[BaseException], ...]], ...] = (
        ("timeout", (litellm.Timeout, httpx.TimeoutException, TimeoutError)),
        ("context_overflow", (litellm.ContextWindowExceededError,)),
        ("content_filtered", (litellm.ContentPolicyViolationError,)),
        ("rate_limited", (litellm.RateLimitError,)),
        ("auth", (litellm.AuthenticationError, litellm.PermissionDeniedError)),
        ("invalid_model", (litellm.NotFoundError, litellm.UnsupportedParamsError)),
    )
    for code, classes in categories:
        if any(isinstance(one, classes) for one in chain):
            return code
    if any(getattr(one, "status_code", None) == 403 for one in chain):
        return "auth"
    if any(getattr(one, "code", None) == "content_filter" for one in chain):
        return "content_filtered"
    if "Missing credentials" in raw:  # there is no key in the environment
        return "auth"
    if "LLM Provider NOT provided" in raw:
        return "invalid_model"
    return "provider_error"


def _is_transient(code: str, chain: list[Any], raw: str) -> bool:
    """Whether it is the provider's or the network's trouble of the moment, and not what was asked of it."""
    if code == "rate_limited":
        unpaid = "insufficient_quota"  # it stays so until somebody pays the bill
        return unpaid not in raw and all(getattr(one, "code", None) != unpaid for one in chain)
    if code != "provider_error":
        return False
    statuses = {status for one in chain if isinstance(status := getattr(one, "status_code", None), int)}
    return not statuses or max(statuses) >= 500 or bool(statuses & {408, 409, 425})


def _retry_after(chain: list[Any]) -> float | None:
    """Seconds, from the provider's Retry-After (RFC 9110, section 10.2.3: a number, or a date)."""
    for one in chain:
        headers = getattr(one, "headers", None) or getattr(getattr(one, "response", None), "headers", None) or {}
        for name in ("Retry-After", "retry-after"):
            if (said := headers.get(name)) is None:
                continue
            try:
                return max(0.0, float(said))
            except ValueError:
                pass
            try:
                return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
            except ValueError:
                return None
    return None
