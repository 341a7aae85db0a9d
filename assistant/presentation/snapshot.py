"""What a viewer who joins has to see: the state of a session as of now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q

from assistant.models import ChatSession, Message, Participant, ShareLink
from assistant.models.message import MessageQuerySet
from assistant.presentation import public, wire

PAGE = 50
SUMMARIES = 10


def of_participant(you: Participant) -> dict[str, Any]:
    """The fields of `session.snapshot` (without who is here). `lifecycle.joining` has looked after what runs."""
    session = you.session
    participants = session.participants.select_related("user").order_by("joined_at", "id")
    messages, has_more = _newest(session)
    return {
        "session": wire.session_json(session, you.role, running=_is_running(session)),
        "you": you.as_json(),
        "participants": [p.as_json() for p in participants],
        "shared": ShareLink.objects.filter(session=session).exists(),
        "messages": messages,
        "has_more": has_more,
        "summaries": summaries_of(session),
    }


def of_link(link: ShareLink, token: str) -> dict[str, Any]:
    """The same for who reads along by the link that `token` opens."""
    messages, has_more = _newest(link.session)
    shown = public.messages(messages, token)
    return {
        "session": public.session(wire.session_json(link.session, public.READER, running=_is_running(link.session))),
        "you": {"id": None, "name": None, "role": public.READER, "color": None},
        "participants": public.authors(shown),
        "messages": shown,
        "has_more": has_more,
    }


def _newest(session: ChatSession) -> tuple[list[dict[str, Any]], bool]:
    page = page_before(session, None, PAGE)
    return [wire.message_json_now(message) for message in page.messages], page.has_more


def _is_running(session: ChatSession) -> bool:
    """Looked up: a new answer to an old question is none of the newest messages."""
    return session.messages.running().exists()


def summaries_of(session: ChatSession) -> list[dict[str, Any]]:
    """The newest of what the model is told in the place of older messages, oldest first."""
    newest = session.summaries.order_by("-until_position")[:SUMMARIES]
    return [summary.as_json() for summary in reversed(newest)]


@dataclass(frozen=True, slots=True)
class Page:
    messages: list[Message]  # oldest first
    has_more: bool  # there are older ones
    has_newer: bool


def page_before(session: ChatSession, before: Message | None, limit: int) -> Page:
    """Up to `limit` messages before `before` (or the newest)."""
    rows = _rows(session).order_by("-position", "-id")
    if before is not None:
        rows = rows.filter(_is_older(before))
    found = list(rows[: limit + 1])
    return Page(found[:limit][::-1], has_more=len(found) > limit, has_newer=before is not None)


def first_page(session: ChatSession, limit: int) -> Page:
    """The oldest `limit` messages."""
    found = list(_rows(session).in_order()[: limit + 1])
    return Page(found[:limit], has_more=False, has_newer=len(found) > limit)


def page_after(session: ChatSession, after: Message, limit: int) -> Page:
    """Up to `limit` messages after `after`."""
    found = list(_rows(session).in_order().filter(_is_newer(after))[: limit + 1])
    return Page(found[:limit], has_more=True, has_newer=len(found) > limit)


def page_around(session: ChatSession, around: Message, limit: int) -> Page:
    """`around` with about half of `limit` messages before it and as many after it."""
    older = page_before(session, around, (limit - 1) // 2)
    newer = page_after(session, around, limit // 2)
    middle = list(_rows(session).filter(pk=around.pk))
    return Page([*older.messages, *middle, *newer.messages], older.has_more, newer.has_newer)


def _is_older(message: Message) -> Q:
    """Said with its position alone first, where an index can begin: with an OR alone all of the session would be read."""
    at = message.position
    return Q(position__lte=at) & (Q(position__lt=at) | Q(pk__lt=message.pk))


def _is_newer(message: Message) -> Q:
    at = message.position
    return Q(position__gte=at) & (Q(position__gt=at) | Q(pk__gt=message.pk))


def _rows(session: ChatSession) -> MessageQuerySet:
    return session.messages.shown().with_calls().select_related("session")


def session_exists(session_id: UUID) -> bool:
    return ChatSession.objects.filter(pk=session_id).exists()
