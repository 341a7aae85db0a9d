"""Search over what was said in the session itself, also where it no longer fits into what the model is sent."""

from __future__ import annotations

import re
from typing import Annotated

from django.db.models import Q
from pydantic import Field

from assistant.models.message import Author, Message, Status
from assistant.models.participant import display_name
from assistant.tools import Context, Result, Service, ToolError

recall = Service("recall", title="Memory", description="Searches what was said in this session.")

EXCERPT = 300  # characters around what was found
CANDIDATES = 200


@recall.tool(title="Search in this session", doing="Searching this session", timeout=20, idempotent=True)
def search_session(context: Context, words: str, limit: Annotated[int, Field(ge=1, le=20)] = 8) -> Result:
    """Finds earlier messages of this conversation that contain all the given words, best match first.

    words: what to look for, separated by blanks; "quotes" hold a phrase together
    limit: how many messages at most
    """
    wanted = [phrase or word for phrase, word in re.findall(r'"([^"]+)"|(\S+)', words)][:10]
    if not wanted:
        raise ToolError("Give at least one word to look for.")
    contains = Q()
    for word in wanted:
        contains &= Q(content__icontains=word)
    said = Message.objects.filter(contains, session_id=context.session_id).exclude(pk=context.message_id)
    said = said.filter(status__in=(Status.SUCCESS, Status.ERROR)).select_related("author")
    found = list(said.order_by("-position", "-id")[:CANDIDATES])
    found.sort(key=lambda message: -sum(message.content.lower().count(word.lower()) for word in wanted))
    if not found:
        return Result("Nothing was found.", "Nothing found")
    text = "\n\n".join(_entry(message, wanted[0]) for message in found[:limit])
    return Result(text, f"{len(found)} message{'s' if len(found) > 1 else ''} found")


def _entry(message: Message, word: str) -> str:
    return f"{_speaker(message)}, {message.created_at:%Y-%m-%d %H:%M} UTC:\n{_excerpt(message, word)}"


def _speaker(message: Message) -> str:
    if message.role == Author.ASSISTANT:
        return "You"
    return display_name(message.author) if message.author else "Someone"


def _excerpt(message: Message, word: str) -> str:
    text = message.content
    place = max(0, text.lower().find(word.lower()))
    start, end = max(0, place - EXCERPT), place + len(word) + EXCERPT
    return f"{'…' if start else ''}{text[start:end].strip()}{'…' if end < len(text) else ''}"
