"""What a viewer who joins has to see: the state of a session as of now."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from assistant import outage, wire
from assistant.lifecycle import recovery
from assistant.models import ChatSession, Message

PAGE = 50


def snapshot(session_id: UUID, user: Any) -> dict[str, Any] | None:
    """The fields of `session.snapshot` (without `online`), or None if `user` takes no part in the session.

    Nothing is shown as loading unchecked: a running answer that has lost its job or its worker is recovered first, by
    compare-and-set, so a join never harms an answer that somebody else's worker is really writing.
    """
    session = ChatSession.objects.for_user(user).filter(pk=session_id).first()
    if session is None:
        return None
    for answer in session.messages.running():
        if not outage.was_recent() and not answer.is_alive():
            recovery.recover(answer)
    participants = list(session.participants.select_related("user").order_by("joined_at", "id"))
    you = next(p for p in participants if p.user_id == user.pk)
    newest = list(
        session.messages.shown().with_calls().select_related("session").order_by("-position", "-id")[: PAGE + 1]
    )
    messages = [wire.message_json_now(message) for message in reversed(newest[:PAGE])]
    running = any(m["role"] == "assistant" and m["status"] in ("pending", "processing") for m in messages)
    return {
        "session": wire.session_json(session, you.role, running=running),
        "you": you.as_json(),
        "participants": [p.as_json() for p in participants],
        "messages": messages,
        "has_more": len(newest) > PAGE,
    }


def page_before(session: ChatSession, before: Message | None, limit: int) -> tuple[list[Message], bool]:
    """Up to `limit` messages before `before` (or the newest), oldest first, and whether older ones exist."""
    rows = session.messages.shown().with_calls().select_related("session").order_by("-position", "-id")
    if before is not None:
        older = rows.filter(position__lt=before.position)
        same = rows.filter(position=before.position, id__lt=before.pk)
        rows = (older | same).order_by("-position", "-id")
    found = list(rows[: limit + 1])
    return list(reversed(found[:limit])), len(found) > limit


def session_exists(session_id: UUID) -> bool:
    return ChatSession.objects.filter(pk=session_id).exists()
