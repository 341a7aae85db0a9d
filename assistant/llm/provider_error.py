"""What a provider says when it can't: an HTTP error, or an error inside of a stream, in anybody's form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assistant.llm.error_body import said_in

_LONGEST = 2000


class ProviderError(Exception):
    """The provider said that it can't. What that means for people is told by `assistant.llm.errors`."""

    def __init__(
        self, message: str, status_code: int, body: Any = None, headers: Mapping[str, str] = {}, code: Any = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status_code = status_code  # HTTP's, or what an error inside of a stream amounts to
        self.code = code  # the provider's word for it, if there is one
        self.body = body
        self.headers = headers


# What an answer's parts have in one protocol or another: what has one of them and a "message" is no error.
_PARTS = ("choices", "candidates", "content", "usage", "usageMetadata", "done", "promptFeedback", "response", "delta")
_ERRORS = ("errors", "detail", "message", "msg", "Message", "error_message", "error_msg", "error_code", "error_type")


def is_error(value: Any) -> bool:
    """Whether a JSON value in an answer's place says that something went wrong, and is no part of an answer."""
    if not isinstance(value, Mapping):
        return False
    if value.get("error") or "error" in (value.get("object"), value.get("type"), value.get("status")):
        return True
    if isinstance(told := value.get("base_resp"), Mapping) and told.get("status_code") not in (None, 0, "0"):
        return True  # MiniMax, with status 200
    if any(value.get(name) is not None for name in _PARTS):
        return False
    if value.get("success") is False:
        return True
    return any(isinstance(value.get(name), str | list | int) and value[name] for name in _ERRORS)


def error_in(value: Any, status: int | None = None, headers: Mapping[str, str] = {}) -> ProviderError:
    """The error that `value` (the JSON of a response with HTTP's `status`, or of an event) tells, in whichever form."""
    said = said_in(value)
    code = _code(value)
    words = said.text or str(value)
    where = f"HTTP {status}: " if status else ""
    message = f"{where}{words}" if code is None else f"{where}{words} ({code})"
    return ProviderError(message[:_LONGEST], status or said.status or _STATUS_IN_MID_STREAM, value, headers, code)


_STATUS_IN_MID_STREAM = 500


def _code(value: Any) -> Any:
    error = value.get("error") if isinstance(value, Mapping) else None
    inner = error if isinstance(error, Mapping) else value if isinstance(value, Mapping) else {}
    codes = (inner.get(name) for name in ("code", "type", "status", "error_type", "error_code"))
    return next((one for one in codes if isinstance(one, str | int) and one not in ("", "error")), None)
