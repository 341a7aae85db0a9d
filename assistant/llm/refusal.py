"""What a provider says when it can't: an HTTP error, or an error inside of a stream, in anybody's form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_LONGEST = 2000


class ProviderError(Exception):
    """The provider said that it can't. What that means for people is not this module's to say."""

    def __init__(
        self, message: str, status_code: int, body: Any = None, headers: Mapping[str, str] = {}, code: Any = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status_code = status_code  # HTTP's, or what an error inside of a stream amounts to
        self.code = code  # the provider's word for it, if there is one
        self.body = body
        self.headers = headers


def is_error(value: Any) -> bool:
    """Whether a JSON value of a stream says that something went wrong, and is no part of an answer."""
    if not isinstance(value, Mapping):
        return False
    if value.get("error") or value.get("object") == "error" or value.get("type") == "error" or value.get("errors"):
        return True
    return not any(name in value for name in _PARTS) and any(value.get(name) for name in ("message", "detail", "msg"))


# What an answer's parts have in one protocol or another: what has one of them and a "message" is no error.
_PARTS = ("choices", "candidates", "content", "usage", "usageMetadata", "done", "type", "promptFeedback", "response")


def error_in(value: Any, status: int = 500, headers: Mapping[str, str] = {}) -> ProviderError:
    """The error that `value` (the JSON of a response, or of an event) tells, in whichever of a dozen forms."""
    error = value.get("error") if isinstance(value, Mapping) else None
    inner = error if isinstance(error, Mapping) else value if isinstance(value, Mapping) else {}
    codes = [inner.get(name) for name in ("code", "type", "status", "error_type")]
    code = next((one for one in codes if one not in (None, "", "error")), None)
    if status == 500:
        status = next((found for one in (*codes, inner.get("status_code")) if (found := _as_status(one))), 500)
    return ProviderError(_dumped(error if error else value)[:_LONGEST], status, value, headers, code)


def _dumped(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


_BY_TYPE = {
    "overloaded_error": 529, "rate_limit_error": 429, "authentication_error": 401, "permission_error": 403,
    "not_found_error": 404, "request_too_large": 413, "invalid_request_error": 400, "api_error": 500, "billing_error": 402,
    "timeout_error": 504, "RESOURCE_EXHAUSTED": 429, "UNAVAILABLE": 503, "INVALID_ARGUMENT": 400, "NOT_FOUND": 404,
    "PERMISSION_DENIED": 403, "UNAUTHENTICATED": 401, "FAILED_PRECONDITION": 400, "DEADLINE_EXCEEDED": 504,
    "insufficient_quota": 429, "rate_limit_exceeded": 429, "context_length_exceeded": 400, "invalid_api_key": 401,
    "model_not_found": 404, "server_error": 500,
}  # fmt: skip


def _as_status(code: Any) -> int | None:
    """The HTTP status that a code inside of a stream amounts to: some send the number, some a word."""
    if isinstance(code, str):
        code = _BY_TYPE.get(code) or (int(code) if code.isdecimal() and len(code) == 3 else None)
    return code if isinstance(code, int) and not isinstance(code, bool) and 400 <= code < 600 else None
