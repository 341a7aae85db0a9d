"""A session's own fields change: its version is raised, they are stored, and everyone is told. For all verbs alike."""

from __future__ import annotations

from collections.abc import Iterable

from assistant.models.session import ChatSession
from assistant.presentation import events
from assistant.statements import store


def session_changed(session: ChatSession, running: bool | None = None, changed: Iterable[str] = ()) -> None:
    """Stores the `changed` fields with the next version, and tells. `running` is looked up unless the caller knows it.

    The caller's transaction has locked or written the row, so versions come in the order of the commits.
    """
    session.version += 1
    store(session, "version", *changed)
    events.tell_session(session, session.messages.running().exists() if running is None else running)
