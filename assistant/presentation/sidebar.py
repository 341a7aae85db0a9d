"""The list of one person's sessions: what stands in the sidebar."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, Q, Subquery

from assistant.models import ChatSession, Message, Participant
from assistant.presentation import wire

PAGE = 50
_ORDER = ("-session__updated_at", "-session_id")


def listed(
    user: Any, *, archived: bool = False, limit: int = PAGE, offset: int = 0, before: ChatSession | None = None
) -> tuple[list[dict[str, Any]], bool]:
    """Up to `limit` of `user`'s sessions, newest activity first, as the wire shows them; and whether there are more.

    `before`: only those that stand below that session. One query, however many there are. Which they are is found by their
    times alone: what is shown of a session is read for those that are shown.
    """
    mine = Participant.objects.filter(user_id=user.pk, archived_at__isnull=not archived).order_by(*_ORDER)
    if before is not None:
        mine = mine.filter(_below(before))
    running = Message.objects.running().filter(session=OuterRef("session_id"))
    rows = (
        Participant.objects.filter(pk__in=mine.values("pk")[offset : offset + limit + 1])
        .select_related("session")
        .annotate(is_running=Exists(running))
        .order_by(*_ORDER)
    )
    found = list(rows)
    return [wire.listed_json(row, running=row.is_running) for row in found[:limit]], len(found) > limit


def _below(session: ChatSession) -> Q:
    """By the time as it is stored: SQLite compares texts, and earlier releases stored some times with three digits."""
    at = ChatSession.objects.filter(pk=session.pk).values("updated_at")
    return Q(session__updated_at__lt=Subquery(at)) | Q(session__updated_at=Subquery(at), session_id__lt=session.pk)


def list_snapshot(user: Any) -> dict[str, Any]:
    """The fields of `list.snapshot`."""
    sessions, has_more = listed(user)
    return {"sessions": sessions, "has_more": has_more}
