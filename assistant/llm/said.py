"""What a provider says in an error, whatever form the error has. Pure.

There is no one form: OpenAI's `{"error": {"message", "type", "code"}}`, a string in its place, a list around it (Gemini),
`{"object": "error"}` (vLLM, Mistral), `{"detail": [...]}` (FastAPI), `{"errors": [...]}` (Cloudflare), `base_resp`
(MiniMax), an error within an error (OpenRouter), a page in HTML (whatever stands between).
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass, field
from typing import Any

from assistant.llm import wordings

LONGEST_WORDS = 4_000
DEEPEST = 8
_WORDS = (
    "message", "msg", "detail", "error", "errors", "error_message", "error_msg", "errormessage", "status_msg",
    "description", "error_description", "title", "raw", "metadata", "details", "innererror", "inner_error",
    "content_filter_result", "base_resp", "header", "response", "cause", "body",
)  # fmt: skip
_CODES = (
    "code", "type", "status", "reason", "error_code", "error_type", "errorcode", "err_code", "status_code", "http_code",
    "http_status_code", "__type",
)  # fmt: skip
_TAG = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_SPACE = re.compile(r"\s+")


@dataclass(slots=True)
class Said:
    """An error in the provider's terms."""

    words: list[str] = field(default_factory=list)
    codes: set[str] = field(default_factory=set)  # plain, see `wordings.plain`
    status: int | None = None  # an HTTP status that it names
    field: str = ""  # of the request, which it is about
    retry_after: float | None = None  # seconds

    @property
    def text(self) -> str:
        return " ".join(dict.fromkeys(self.words))[:LONGEST_WORDS]


def said_in(body: Any) -> Said:
    """All that an error's body says: of JSON as it was loaded, or of a text."""
    said = Said()
    _gather(body, said, DEEPEST, "")
    if not said.words and body not in (None, "", {}, []):
        said.words.append(_as_text(body))
    return said


def words_of_page(page: str) -> str:
    """A page's text, without its markup."""
    return _SPACE.sub(" ", html.unescape(_TAG.sub(" ", page))).strip()


def _as_text(body: Any) -> str:
    if isinstance(body, str):
        return words_of_page(body) if body.lstrip()[:1] == "<" else body.strip()
    return json.dumps(body, ensure_ascii=False, default=str)


def _gather(body: Any, said: Said, deepest: int, vendor: str) -> None:
    if not deepest:
        return
    if isinstance(body, list):
        for one in body[:20]:
            _gather(one, said, deepest - 1, vendor)
    elif isinstance(body, str):
        _gather_text(body, said, deepest, vendor)
    elif isinstance(body, dict):
        for name, value in body.items():
            _gather_field(str(name).lower(), value, said, deepest, vendor)


def _gather_text(text: str, said: Said, deepest: int, vendor: str) -> None:
    inner = _loaded(text)
    if isinstance(inner, dict | list):  # an error within an error is often packed as a string
        _gather(inner, said, deepest - 1, vendor)
    elif text.strip():
        said.words.append(_as_text(text)[:LONGEST_WORDS])


def _gather_field(name: str, value: Any, said: Said, deepest: int, vendor: str) -> None:
    if name in _CODES and isinstance(value, str | int) and not isinstance(value, bool):
        _note_code(value, said, vendor)
    elif name in _WORDS:
        _gather(value, said, deepest - 1, "minimax" if name == "base_resp" else vendor)
    elif name == "param" and isinstance(value, str):
        said.field = said.field or value
    elif name == "loc" and isinstance(value, list) and value:
        said.field = said.field or next((str(one) for one in value if one not in ("body", "query")), "")
    elif name in ("retrydelay", "retry_after", "retry_after_seconds"):
        said.retry_after = _seconds(value)


def _note_code(value: str | int, said: Said, vendor: str) -> None:
    text = str(value).strip()
    if not text.isdigit():
        said.codes.add(wordings.plain(text))
    elif vendor or len(text) == 4:
        said.codes.add(f"{vendor or 'zhipu'}{text}")
    elif 400 <= int(text) < 600:
        said.status = said.status or int(text)


def _seconds(value: Any) -> float | None:
    """`31`, `"31.5s"` (Gemini)."""
    try:
        return max(0.0, float(str(value).rstrip("s")))
    except ValueError:
        return None


def _loaded(text: str) -> Any:
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
