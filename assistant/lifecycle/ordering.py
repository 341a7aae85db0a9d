"""What people do about the order in which waiting messages are asked: move one, or have it asked now."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction

from assistant.lifecycle.asking import Sent, make_way, waits_no_longer
from assistant.lifecycle.queueing import line_up, promote
from assistant.lifecycle.refusal import Refused
from assistant.lifecycle.session_changes import lock, session_changed
from assistant.models.message import Message


def move(message: Message, before: UUID | None) -> Message:
    """Puts a waiting message before the waiting one with the id `before`, or at the queue's end.

    Moving, withdrawing and promoting can't both win: whoever comes late finds the message gone from the queue.
    Raises Refused: already_promoted, already_withdrawn, not_waiting (the one before which it should go has left the queue).
    """
    with transaction.atomic():
        session = lock(message.session)
        others = list(session.messages.queued())
        moved = _taken_out(others, message)
        if before == moved.pk:
            return message
        place = next((index for index, other in enumerate(others) if other.pk == before), None)
        if place is None and before is not None:
            raise Refused("not_waiting", "The message before which this should go is no longer waiting.")
        others.insert(len(others) if place is None else place, moved)
        line_up(session, others)
        session_changed(session)
    return Message.objects.shown().get(pk=message.pk)


def send_now(message: Message, by: Any) -> Sent:
    """Asks a waiting message at once: it goes before all others, and `by` stops the running answer; its text is kept.

    A pause after a failure ends. Raises Refused: already_promoted, already_withdrawn.
    """
    with transaction.atomic():
        session = lock(message.session)
        chosen = _taken_out(list(session.messages.queued()), message)
        line_up(session, [chosen])
        make_way(session, by)
        reply = promote(session, chosen)
        session_changed(session, running=True)
    return Sent(Message.objects.shown().get(pk=message.pk), reply, is_new=True)


def _taken_out(waiting: list[Message], message: Message) -> Message:
    """`message` as it is now, removed from the list. Raises Refused: already_promoted, already_withdrawn."""
    for index, other in enumerate(waiting):
        if other.pk == message.pk:
            return waiting.pop(index)
    raise waits_no_longer(message)
