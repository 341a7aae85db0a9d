"""Search over what was said and sent in the session itself, also where it no longer fits into what the model is sent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from django.db.models import Q
from pydantic import Field

from assistant.models.attachment import Attachment
from assistant.models.message import Message, MessageRole, Status
from assistant.models.participant import display_name
from assistant.tools import Context, Result, Service, ToolError

recall = Service("recall", title="Memory", description="Searches what was said and sent in this session.")

EXCERPT = 300  # characters around what was found
CANDIDATES = 200


@recall.tool(title="Search in this session", doing="Searching this session", timeout=20, idempotent=True)
def search_session(context: Context, words: str, limit: Annotated[int, Field(ge=1, le=20)] = 8) -> Result:
    """Finds earlier messages of this conversation, and files sent in it, that contain all the given words, best first.

    words: what to look for, separated by blanks; "quotes" hold a phrase together
    limit: how many messages and files at most
    """
    wanted = [phrase or word for phrase, word in re.findall(r'"([^"]+)"|(\S+)', words)][:10]
    if not wanted:
        raise ToolError("Give at least one word to look for.")
    found = [*_messages(context, wanted), *_files(context, wanted)]
    found.sort(key=lambda one: -one.matches)
    if not found:
        return Result("Nothing was found.", "Nothing found")
    text = "\n\n".join(one.told for one in found[:limit])
    return Result(text, f"{len(found)} place{'s' if len(found) > 1 else ''} found")


@dataclass(frozen=True, slots=True)
class _Found:
    matches: int
    told: str


def _messages(context: Context, wanted: list[str]) -> list[_Found]:
    said = Message.objects.current().filter(_contains("content", wanted), session_id=context.session_id)
    said = said.exclude(pk=context.message_id).filter(status__in=(Status.SUCCESS, Status.ERROR))
    rows = said.select_related("author").order_by("-position", "-id")[:CANDIDATES]
    return [_found(_speaker(row), row.created_at, row.content, wanted) for row in rows]


def _files(context: Context, wanted: list[str]) -> list[_Found]:
    """Files by their name or by what was read in them."""
    matching = _contains("file__text", wanted) | _contains("name", wanted)
    sent = Attachment.objects.filter(matching, session_id=context.session_id, message__status=Status.SUCCESS)
    rows = sent.select_related("file", "message__author").order_by("-id")[:CANDIDATES]
    return [
        _found(f"File {row.name!r} from {_speaker(row.message)}", row.message.created_at, row.file.text, wanted)
        for row in rows
        if row.message
    ]


def _contains(field: str, wanted: list[str]) -> Q:
    found = Q()
    for word in wanted:
        found &= Q(**{f"{field}__icontains": word})
    return found


def _found(who: str, when: datetime, text: str, wanted: list[str]) -> _Found:
    matches = sum(text.lower().count(word.lower()) for word in wanted)
    return _Found(matches, f"{who}, {when:%Y-%m-%d %H:%M} UTC:\n{_excerpt(text, wanted[0])}")


def _speaker(message: Message) -> str:
    if message.role == MessageRole.ASSISTANT:
        return "You"
    return display_name(message.author) if message.author else "Someone"


def _excerpt(text: str, word: str) -> str:
    place = max(0, text.lower().find(word.lower()))
    start, end = max(0, place - EXCERPT), place + len(word) + EXCERPT
    return f"{'…' if start else ''}{text[start:end].strip()}{'…' if end < len(text) else ''}"
