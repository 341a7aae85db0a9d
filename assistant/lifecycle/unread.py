"""What each person has still to read in a session: counted when something is said, and who is named there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Case, F, PositiveIntegerField, Q, QuerySet, When

from assistant.models.message import Message
from assistant.models.participant import Participant
from assistant.models.session import ChatSession
from assistant.statements import Update, Value


def _heard(p: Value) -> tuple[QuerySet[Participant], dict[str, Any]]:
    speaker = Q(user_id=p("user"))
    read = Case(When(speaker, then=p("read")), default=F("read"), output_field=PositiveIntegerField())
    people = Participant.objects.filter(speaker | Q(archived_at__isnull=False), session_id=p("session"))
    return people, {"archived_at": None, "read": read, "version": F("version") + 1}


_HEARD = Update(Participant, _heard)


def note_question(session: ChatSession, author: Any, mentioned: Sequence[int] = (), *, waits: bool = False) -> None:
    """Everyone else in the session has one more thing to read, unless the question waits; and it is back in all lists.

    Who speaks has read what was said before. `mentioned` are the ids of the users whom the question names. A question that
    waits may be withdrawn: it is counted once it leaves the queue (`note_said`). Who calls tells of the session, and
    stores `said` with it.
    """
    session.said += 0 if waits else 1
    _HEARD.run(session=session, user=author, read=session.said)
    if mentioned and not waits:
        session.participants.filter(user_id__in=mentioned).update(mentioned=session.said, version=F("version") + 1)


def note_said(session: ChatSession, question: Message) -> None:
    """A question has left the queue to be answered: everyone but its author has one more thing to read."""
    session.said += 1
    session.save(update_fields=["said"])
    session.participants.filter(user=question.author_id).update(read=F("read") + 1, version=F("version") + 1)
    if question.mentions:
        named = session.participants.filter(user_id__in=question.mentions)
        named.update(mentioned=session.said, version=F("version") + 1)
