"""What a provider says in an error, whatever form the error has. Pure.

There is no one form: OpenAI's `{"error": {"message", "type", "code"}}`, a string in its place, a list around it (Gemini),
`{"object": "error"}` (vLLM, Mistral), `{"detail": [...]}` (FastAPI), `{"errors": [...]}` (Cloudflare), `base_resp`
(MiniMax), an error within an error (OpenRouter), a page in HTML (whatever stands between).
"""

from __future__ import annotations

import html
import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from assistant.llm import wordings

LONGEST_WORDS = 4_000
LONGEST_PAGE = 20_000  # characters of one that are looked at
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
# Each looks at a letter once, whatever stands there: this runs on the loop, and strangers write the pages.
_PROGRAM = re.compile(r"<(/?)(script|style)\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
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
    """The text of a page's first LONGEST_PAGE characters, without its markup."""
    text = _TAG.sub(" ", _without_programs(page[:LONGEST_PAGE]))
    with suppress(ValueError):  # `&#1111...;` with more digits than Python reads
        text = html.unescape(text)
    return _SPACE.sub(" ", text).strip()


def _without_programs(page: str) -> str:
    """Without what stands in <script> and <style>. One that doesn't end goes on to the page's end, as in a browser."""
    kept, start, inside = [], 0, ""
    for tag in _PROGRAM.finditer(page):
        closes, name = tag[1], tag[2].lower()
        if not inside and not closes:
            kept.append(page[start : tag.start()])
            inside = name
        elif inside == name and closes:
            inside, start = "", tag.end()
    return " ".join(kept if inside else [*kept, page[start:]])


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
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
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
