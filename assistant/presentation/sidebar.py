"""The list of one person's sessions: what stands in the sidebar."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, Q

from assistant.models import ChatSession, Message, Participant
from assistant.presentation import wire

PAGE = 50


def listed(
    user: Any, *, archived: bool = False, limit: int = PAGE, offset: int = 0, before: ChatSession | None = None
) -> tuple[list[dict[str, Any]], bool]:
    """Up to `limit` of `user`'s sessions, newest activity first, as the wire shows them; and whether there are more.

    `before`: only those that stand below that session. One query, however many there are.
    """
    running = Message.objects.running().filter(session=OuterRef("session_id"))
    rows = (
        Participant.objects.filter(user_id=user.pk, archived_at__isnull=not archived)
        .select_related("session")
        .annotate(is_running=Exists(running))
        .order_by("-session__updated_at", "-session_id")
    )
    if before is not None:
        rows = rows.filter(
            Q(session__updated_at__lt=before.updated_at)
            | Q(session__updated_at=before.updated_at, session_id__lt=before.pk)
        )
    found = list(rows[offset : offset + limit + 1])
    return [wire.listed_json(row, running=row.is_running) for row in found[:limit]], len(found) > limit


def list_snapshot(user: Any) -> dict[str, Any]:
    """The fields of `list.snapshot`."""
    sessions, has_more = listed(user)
    return {"sessions": sessions, "has_more": has_more}
