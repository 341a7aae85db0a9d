"""What one person does with a session in their own list: read it, put it away. Nobody else sees any of it."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from assistant.lifecycle.refusal import Refused
from assistant.models.participant import Participant
from assistant.models.session import ChatSession
from assistant.presentation import events


def mark_read(session: ChatSession, user: Any, said: int | None = None) -> Participant:
    """`user` has read the session up to `said` (its own count of what was said; None: all of it).

    The mark only moves forward: of two tabs, the one that has seen more wins, in whatever order they tell.
    Raises Refused (not_found).
    """
    there = ChatSession.objects.values_list("said", flat=True).get(pk=session.pk)
    read = there if said is None else max(0, min(said, there))
    return _change(session, user, {"read__lt": read}, read=read)


def archive(session: ChatSession, user: Any) -> Participant:
    """Takes the session out of `user`'s list until somebody asks something in it. Raises Refused (not_found)."""
    return _change(session, user, {"archived_at": None}, archived_at=Now())


def unarchive(session: ChatSession, user: Any) -> Participant:
    """Puts the session back into `user`'s list. Raises Refused (not_found)."""
    return _change(session, user, {"archived_at__isnull": False}, archived_at=None)


def _change(session: ChatSession, user: Any, only_if: dict[str, Any], **changes: Any) -> Participant:
    with transaction.atomic():
        mine = Participant.objects.filter(session=session, user=user)
        won = mine.filter(**only_if).update(version=F("version") + 1, **changes)
        participant = mine.select_related("session").first()
        if participant is None:
            raise Refused("not_found", "You are no longer in this session.", status=404)
        if won:
            events.list_changed(participant)
    return participant
