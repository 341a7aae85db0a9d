"""Finding things through the one who asks: whoever is not a participant gets 404, whoever lacks the role 403."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import F
from django.http import Http404, HttpRequest

from assistant.api.authentication import user_of
from assistant.lifecycle.refusal import Refused
from assistant.models import ChatSession, Message, Participant
from assistant.models.one import one
from assistant.models.participant import WRITERS
from assistant.statements import Select

__all__ = ["WRITERS", "message_for", "own_message_for", "session_for"]


_USER = Participant._meta.get_field("user")
# As `for_user`: authorisation is this query.
_MINE = Select(
    ChatSession,
    lambda p: ChatSession.objects.filter(pk=p("id"), participants__user_id=p("user", _USER)).annotate(
        your_role=F("participants__role")
    ),
)


def session_for(request: HttpRequest, session_id: UUID, *roles: str) -> ChatSession:
    """The user's session; with `roles`, only if theirs is one of them. Raises Http404, Refused (403)."""
    session: Any = _MINE.one(id=session_id, user=user_of(request))
    if session is None:
        raise Http404
    _require(session.your_role, roles)
    return session


def message_for(request: HttpRequest, message_id: UUID, *roles: str) -> Message:
    mine = ChatSession.objects.for_user(user_of(request)).order_by()
    found = Message.objects.shown().select_related("session", "reply_to")
    message = one(found.filter(pk=message_id, session__in=mine))
    if message is None:
        raise Http404
    if roles:
        _require(message.session.role_of(user_of(request)), roles)
    return message


def own_message_for(request: HttpRequest, message_id: UUID) -> Message:
    """A message that the user wrote. Raises Http404, Refused (403) as above."""
    message = message_for(request, message_id, *WRITERS)
    if message.author_id != user_of(request).pk:
        raise Refused("not_yours", "Only its author can change a message.", status=403)
    return message


def _require(role: str | None, roles: tuple[str, ...]) -> None:
    if role is None:
        raise Http404  # removed, or the session deleted, since it was found
    if roles and role not in roles:
        raise Refused(
            "forbidden", f"Your role in this session does not allow that; it needs {' or '.join(roles)}.", 403
        )
