"""The one interface to search. Who may see what is part of the query: only messages of one's own sessions are looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from assistant.models import ChatSession, Message
from assistant.models.message import MessageRole
from assistant.search.snippet import Piece, snippet
from assistant.search.windows import newest
from assistant.search.words import Term, matches, terms_of

MOST_TITLES = 10_000  # of the newest sessions; titles are short, and compared one by one


@dataclass(frozen=True, slots=True)
class Hit:
    message: Message  # with its session and author
    snippet: list[Piece]


def find(user: Any, query: str, limit: int, before: UUID | None = None) -> tuple[list[Hit], bool]:
    """Up to `limit` messages in `user`'s sessions in which all terms of `query` stand, newest first; and if there are more.

    `before`: only those older than that message. What is being written, waits, or was withdrawn is not found.
    """
    terms = terms_of(query)
    if not terms:
        return [], False
    ids = newest(user, terms, limit + 1, before)
    rows = (
        Message.objects.filter(pk__in=ids[:limit])
        .select_related("session", "author")
        .defer("html", "salvage", "reasoning", "reasoning_salvage")
        .order_by("-id")
    )
    return [
        Hit(row, snippet(row.content, terms, is_markdown=row.role == MessageRole.ASSISTANT)) for row in rows
    ], len(ids) > limit


def everywhere(query: str, most: int) -> list[UUID]:
    """Up to `most` messages of whichever sessions in which all terms of `query` stand, newest first: for operators."""
    terms = terms_of(query)
    return newest(None, terms, most, None) if terms else []


def find_titles(user: Any, query: str, limit: int) -> list[ChatSession]:
    """Up to `limit` of `user`'s sessions in whose titles all terms of `query` stand, newest activity first."""
    terms: list[Term] = terms_of(query)
    if not terms:
        return []
    titles = ChatSession.objects.for_user(user).values_list("pk", "title")[:MOST_TITLES]
    found = [pk for pk, title in titles if matches(title, terms)][:limit]
    return list(ChatSession.objects.for_user(user).filter(pk__in=found))
