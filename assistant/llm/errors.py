"""What a provider's error means: one of our categories for whatever a provider said, litellm or the network raised."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import httpx

from assistant.llm import wordings
from assistant.llm.credentials import WrongSetting
from assistant.llm.error_body import Said, said_in
from assistant.llm.library import library
from assistant.llm.pieces import ModelError

RAW_LENGTH = 2_000
WRONG_SETTING = "How to reach this model's provider is set up wrongly here. Ask your administrator."
NOT_REACHED = (
    "The model's server can't be reached. Try again in a moment; your administrator can see whether it runs."
)
_NOT_REACHED = (aiohttp.ClientConnectorError, httpx.ConnectError)
_TRANSIENT_STATUSES = frozenset({408, 409, 425})
_PASSES = wordings.OVERLOADED
_STAYS = wordings.BAD_REQUEST


def translated(error: Exception) -> ModelError:
    """One of our categories for whatever a lane raised."""
    # An error in mid stream is wrapped; what happened is inside, and a network error is inside that one's context.
    inner = getattr(error, "original_exception", None) or error
    chain = [one for one in (error, inner, inner.__context__, inner.__cause__) if one is not None]
    raw = f"{type(error).__name__}: {error}"
    if wrong := next((one for one in _causes(error) if isinstance(one, WrongSetting)), None):
        return ModelError(wrong.code, str(wrong), WRONG_SETTING)
    if any(isinstance(one, _WRONG_SETTINGS) for one in chain):
        return ModelError("provider_error", f"No request can be made with these settings. {raw}", WRONG_SETTING)
    said, status = _said_by(chain)
    raw = " ".join([raw, *(words for words in dict.fromkeys(said.words) if words not in raw)])[:RAW_LENGTH]
    category, is_transient = _judged_chain(chain, raw, said, status)
    is_away = category == "provider_error" and any(isinstance(one, _NOT_REACHED) for one in _causes(error))
    detail = NOT_REACHED if is_away else ""
    return ModelError(category, raw, detail, is_transient=is_transient, retry_after=_retry_after(chain))


def judged(status: int | None, said: Said) -> tuple[str, bool]:
    """(category, whether the same request may well succeed in a moment) of what a provider said, `status` being HTTP's, or
    None inside of a stream that had begun well."""
    if status is None or status < 400:
        status = said.status
    text = said.text
    found = wordings.category_of_codes(frozenset(said.codes))
    if found == "context_overflow" and wordings.NOT_OVERFLOW.search(text):
        found = _STAYS  # `string_above_max_length` of another field
    if found == "auth" and wordings.CREDIT.search(text):
        found = "out_of_credit"
    if found in (None, _STAYS, _PASSES):
        found = _by_words(text, status) or found
    if found is None or (found in (_STAYS, _PASSES) and status in _OF_STATUS):
        found = _OF_STATUS.get(status or 0) or found
    match found:
        case "rate_limited":
            return found, not wordings.TOO_LARGE_FOR_ITS_RATE.search(text)
        case str() if found not in (_PASSES, _STAYS):
            return found, False
    if status is not None and (status >= 500 or status in _TRANSIENT_STATUSES):
        return "provider_error", True
    is_passing = found == _PASSES or bool(wordings.PASSING.search(text))
    return "provider_error", is_passing or (status is None and found != _STAYS)


_OF_STATUS = {
    401: "auth", 402: "out_of_credit", 403: "auth", 404: "invalid_model", 413: "context_overflow", 429: "rate_limited",
}  # fmt: skip


def _by_words(text: str, status: int | None) -> str | None:
    """The order matters: a limit of a minute is told in tokens too, and credit that is used up in terms of limits."""
    is_rate = bool(wordings.RATE.search(text))
    if wordings.CREDIT.search(text) and not (is_rate and status in (None, 429)):
        return "out_of_credit"
    if is_rate and status in (None, 400, 413, 429, 500, 503, 529):
        return "rate_limited"
    if status in (401, 402, 403, 404, 429):
        by_status = _OF_STATUS[status]
        return "content_filtered" if status == 403 and wordings.FILTER.search(text) else by_status
    if wordings.OVERFLOW.search(text) and not wordings.NOT_OVERFLOW.search(text):
        return "context_overflow"
    if status is not None and status >= 500 and wordings.PASSING.search(text):
        return None
    for category, words in (
        ("content_filtered", wordings.FILTER),
        ("auth", wordings.AUTH),
        ("invalid_model", wordings.MODEL),
    ):
        if words.search(text):
            return category
    return None


# --- exceptions ---


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it was raised for; litellm wraps a failed connection three times."""
    found: BaseException | None = error
    for _ in range(10):
        if found is None:
            return
        yield found
        found = found.__cause__ or found.__context__


def _judged_chain(chain: list[BaseException], raw: str, said: Said, status: int | None) -> tuple[str, bool]:
    """What was said decides; where nobody said anything, what kind of exception it is."""
    litellm = library()
    if _is_timeout(litellm, chain):
        return "timeout", False
    if "Missing credentials" in raw:  # there is no key in the environment
        return "auth", False
    category, is_transient = judged(status, said)
    if category == "provider_error":
        for by_class, classes in _classes(litellm):
            if any(isinstance(one, classes) for one in chain):
                return by_class, by_class == "rate_limited"
    return category, is_transient


# What is raised for a header or an address that no request can be made of.
_WRONG_SETTINGS = (
    httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError, aiohttp.InvalidURL,
    UnicodeEncodeError,
)  # fmt: skip


def _is_timeout(litellm: Any, chain: list[BaseException]) -> bool:
    """Ours, not a provider's 504: litellm's class stands for both, with 408 as the status of those that it measured."""
    if any(isinstance(one, httpx.TimeoutException | TimeoutError) for one in chain):
        return True
    return any(isinstance(one, litellm.Timeout) and one.status_code == 408 for one in chain)


def _classes(litellm: Any) -> tuple[tuple[str, tuple[type[BaseException], ...]], ...]:
    """litellm's own judgement, which knows some that we don't. Its classes are subclasses of each other."""
    return (
        ("context_overflow", (litellm.ContextWindowExceededError,)),
        ("content_filtered", (litellm.ContentPolicyViolationError,)),
        ("rate_limited", (litellm.RateLimitError,)),
        ("auth", (litellm.AuthenticationError, litellm.PermissionDeniedError)),
        ("invalid_model", (litellm.NotFoundError, litellm.UnsupportedParamsError)),
    )


# "litellm.RateLimitError: XException - "
_LIBRARYS_OWN = re.compile(r"(?:\b(?:litellm\.)?\w+(?:Error|Exception)(?: -|:)\s*)+")


def _said_by(chain: list[BaseException]) -> tuple[Said, int | None]:
    """The words, codes and status of what was raised, without what litellm adds: its names of classes sound like words."""
    said = Said()
    status: int | None = None
    for one in chain:
        body = getattr(one, "body", None)
        text = getattr(one, "message", None) or str(one)
        for source in (body, _json_in(text) if body is None else None):
            if source is not None:
                _add(said, said_in(source))
        if isinstance(text, str) and text and not said.words:
            _add(said, said_in(_LIBRARYS_OWN.sub("", text)))
        if isinstance(code := getattr(one, "code", None), str) and code and not code.isdigit():
            said.codes.add(wordings.plain(code))
        if status is None and isinstance(found := getattr(one, "status_code", None), int):
            status = found
    return said, status


def _add(said: Said, more: Said) -> None:
    said.words += more.words
    said.codes |= more.codes
    said.status = said.status or more.status


def _json_in(text: Any) -> Any:
    """litellm puts a provider's body behind words of its own."""
    if not isinstance(text, str) or (start := text.find("{")) < 0:
        return None
    inner = text[start : text.rfind("}") + 1]
    return inner if said_in(inner).codes else None


def _retry_after(chain: Iterable[BaseException]) -> float | None:
    """Seconds, from the provider's Retry-After (RFC 9110, section 10.2.3: a number, or a date)."""
    for one in chain:
        headers = getattr(one, "headers", None) or getattr(getattr(one, "response", None), "headers", None) or {}
        for name in ("Retry-After", "retry-after"):
            if (told := headers.get(name)) is None:
                continue
            try:
                return max(0.0, float(told))
            except ValueError:
                pass
            try:
                return max(0.0, parsedate_to_datetime(told).timestamp() - time.time())
            except ValueError:
                return None
        if (in_body := said_in(getattr(one, "body", None)).retry_after) is not None:
            return in_body
    return None
