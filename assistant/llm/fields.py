"""Fields of a request that a server doesn't know: told from its error, left out, and for a while not sent again."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from typing import Any

from assistant.llm.error_body import said_in

MOST_FIELDS_REFUSED = 3  # of one request, each asked again without

# What a request can do without: the answer is the same in kind.
_OPTIONAL = (
    "stream_options", "parallel_tool_calls", "tool_choice", "max_completion_tokens", "max_tokens", "temperature", "top_p",
    "top_k", "reasoning_effort", "verbosity", "service_tier", "seed", "stop", "user", "metadata", "store", "n",
    "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "logit_bias", "response_format",
    "prompt_cache_key", "thinking", "enable_thinking", "chat_template_kwargs",
)  # fmt: skip
_REFUSED = re.compile(
    r"(?:un|not |n't |not be )(?:support|recogni[sz]|permit|allow|expect|known|accept)|unknown|unrecogni[sz]ed|unexpected"
    r"|extra[_ ](?:inputs?|fields?|parameters?|forbidden)|forbidden|invalid (?:parameter|argument|field|property)"
    r"|no such (?:parameter|field)|only the default|only 1 is allowed|is deprecated"
    r"|not a (?:valid|known) (?:parameter|field)"
    r"|additional propert|may only be set to|cannot both be specified|must be unset|or unset",
    re.IGNORECASE,
)
_REFUSING_STATUSES = frozenset({200, 400, 404, 405, 422, 500, 501})


def unsupported_field(status: int | None, body: Any, fields: Iterable[str]) -> str | None:
    """The optional one of the request's `fields` that an error (`body`, JSON or text, with HTTP's `status`) refuses to
    know, or None: then the error is about something else."""
    if status not in _REFUSING_STATUSES:
        return None
    said = said_in(body)
    if not (_REFUSED.search(said.text) or said.codes & _REFUSING_CODES):
        return None
    optional = [name for name in _OPTIONAL if name in fields]
    about = said.field.split(".")[0]
    if about in optional:
        return about
    return next((name for name in optional if _names(said.text, name)), None)


_REFUSING_CODES = {"unsupportedparameter", "unknownparameter", "unsupportedvalue", "extraforbidden"}


def _names(text: str, field: str) -> bool:
    """Whether `text` speaks of the field. One whose name is a word of English, or a letter, has to stand in quotes."""
    if "_" in field:
        return bool(re.search(rf"(?<![\w]){field}(?![\w])", text))
    quoted = rf"""['"`\[/]{field}['"`\]:]"""
    return bool(re.search(rf"{quoted}|(?:parameter|field|argument|invalid|unsupported)s?:? {field}\b", text))


def without(body: Mapping[str, Any], field: str, refusal: Any) -> dict[str, Any]:
    """The request's `body` without `field`, or with what the `refusal` wants in its place."""
    shorter = {name: value for name, value in body.items() if name != field}
    for old, new in (("max_tokens", "max_completion_tokens"), ("max_completion_tokens", "max_tokens")):
        if field == old and _names(said_in(refusal).text.replace(f"'{old}'", ""), new):
            shorter[new] = body[field]
    return shorter


# --- what is known of a server ---

KNOWN_SECONDS = 600.0  # then it is asked again: servers are mended, too
_MOST_KNOWN = 1_000
_known: dict[tuple[str, str], tuple[float, list[tuple[str, Any]]]] = {}  # until when; fields with their refusals


def note(address: str, model: str, field: str, refusal: Any) -> None:
    """The server at `address` refuses `field` for `model`: what is sent to it within ten minutes goes without."""
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    _, fields = _known.get((address, model), (0.0, []))
    _known[address, model] = time.monotonic() + KNOWN_SECONDS, [*fields, (field, refusal)]


def known(address: str, model: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """`body` without the fields that the server at `address` is known to refuse."""
    until, fields = _known.get((address, model), (0.0, []))
    if until > time.monotonic():
        for field, refusal in fields:
            body = without(body, field, refusal) if field in body else body
    return body


def forget() -> None:
    _known.clear()
