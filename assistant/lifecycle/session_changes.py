"""A session itself changes: people rename it, set it up, delete it; and what all verbs share that change its fields.

Its row is locked, its version is raised, the fields are stored, and everyone is told.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction

from assistant.delivery import live_text, queue
from assistant.lifecycle import attaching
from assistant.lifecycle.refusal import Refused
from assistant.models.session import UNTITLED, ChatSession, TitledBy
from assistant.presentation import events
from assistant.statements import store
from assistant.text.blank import is_blank
from assistant.toolbox import registry


def lock(session: ChatSession) -> ChatSession:
    """The session as it is now, locked until the transaction ends. Raises Refused (not_found)."""
    locked = ChatSession.objects.locked(session.pk)
    if locked is None:
        raise Refused("not_found", "This session has been deleted.", status=404)
    return locked


def session_changed(session: ChatSession, running: bool | None = None, changed: Iterable[str] = ()) -> None:
    """Stores the `changed` fields with the next version, and tells. `running` is looked up unless the caller knows it.

    The caller's transaction has locked or written the row, so versions come in the order of the commits.
    """
    session.version += 1
    store(session, "version", *changed)
    events.tell_session(session, session.messages.running().exists() if running is None else running)


def change(
    session: ChatSession,
    *,
    title: str | None = None,
    model: str | None = None,
    services: list[str] | None = None,
    system_prompt: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    replies: str | None = None,
    when_busy: str | None = None,
) -> None:
    """Renames a session or changes its settings; `session` shows the change. Raises Refused (not_found).

    Only what is given is written, on the row as it is under its lock: a send at the same moment, or a change of something
    else, keeps what it changed. That holds for each of the `parameters` too: those given are set, None takes one back
    to the provider's default. What is being written goes on with the settings it began with.
    """
    with transaction.atomic():
        locked = lock(session)
        given = {
            "title": None if title is None else UNTITLED if is_blank(title) else title.strip(),
            "model": model,
            "services": None if services is None else list(dict.fromkeys(services)),
            "system_prompt": None if system_prompt is None else system_prompt.strip(),
            "parameters": None if parameters is None else _merged(locked.parameters, parameters),
            "replies": replies,
            "when_busy": when_busy,
        }
        changes = {name: value for name, value in given.items() if value is not None}
        if title is not None:
            changes["titled_by"] = TitledBy.NOBODY if is_blank(title) else TitledBy.PERSON
        for name, value in changes.items():
            setattr(locked, name, value)
        locked.save(update_fields=list(changes))
        session_changed(locked)
    for name in (*changes, "version"):
        setattr(session, name, getattr(locked, name))


def _merged(parameters: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**parameters, **changes}.items() if value is not None}


def delete(session: ChatSession) -> None:
    """Deletes a session with all that belongs to it; what is being written there is stopped quietly."""
    with transaction.atomic():
        locked = lock(session)
        for answer in locked.messages.running().select_related("worker"):
            queue.withdraw(answer.job)
            if answer.worker is not None:
                events.stop_turn(answer.worker.mailbox, answer.pk, answer.attempt)
            transaction.on_commit(functools.partial(live_text.close, answer.pk, answer.attempt))
        events.access_ended(session.pk)
        attaching.delete_with(locked)
        locked.delete()


def check_services(names: list[str], held: list[str]) -> None:
    """Raises Refused for a service that there isn't. One that the session holds since there was one may stay."""
    unknown = [name for name in registry.unknown(names) if name not in held]
    if unknown:
        raise Refused("invalid_service", f"There is no service {unknown[0]!r} here. GET /api/tools lists them.", 422)
