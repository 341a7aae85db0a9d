"""What a viewer who joins is shown: the snapshot of a session, in which nothing is shown as loading unchecked.

A running answer that has lost its job or its worker is recovered first, by compare-and-set, so a join never harms an
answer that somebody else's worker is really writing.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from assistant import outage
from assistant.delivery import clock
from assistant.lifecycle import recovery
from assistant.models import ChatSession, Participant, ShareLink
from assistant.presentation.snapshot import of_link, of_participant


def snapshot(session_id: UUID, user: Any) -> dict[str, Any] | None:
    """The fields of `session.snapshot` (without who is here), or None if `user` takes no part in the session."""
    mine = Participant.objects.filter(session=session_id, user=user, user__is_active=True)
    you = mine.select_related("session", "user").first()
    if you is None:
        return None
    _recover(you.session)
    return of_participant(you)


def shared_snapshot(link_id: int, token: str) -> dict[str, Any] | None:
    """The same for who reads along by the link that `token` opens; None if it was revoked."""
    link = ShareLink.objects.open().select_related("session").filter(pk=link_id).first()
    if link is None:
        return None
    _recover(link.session)
    return of_link(link, token)


def _recover(session: ChatSession) -> None:
    for answer in session.messages.running():
        if answer.is_alive():
            continue
        clock.ask()  # all look dead right after it was set
        if not outage.was_recent():
            recovery.recover_or_log(answer)  # what can't be recovered keeps nobody out
