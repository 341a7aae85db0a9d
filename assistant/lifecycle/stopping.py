"""A running answer is stopped, for all verbs that have to: by who asks for it, or by a message that interrupts it."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from assistant.delivery import live_text
from assistant.lifecycle import endings
from assistant.models.message import Message
from assistant.models.session import ChatSession
from assistant.presentation import events


def stop_answer(session: ChatSession, by: Any, answer: Message | None = None) -> Message | None:
    """Stops the session's running answer (if it is `answer`, where one is named); what has been shown of it is kept.

    Returns it, or None: it had ended. The live text is sealed, so that nobody is shown a letter that is not in
    the text kept here; the row decides between this and an ending of the worker's. It takes no worker's help, so it
    works on a dead one too. The caller holds the session's lock, and goes on with what follows the ending.
    """
    running = session.messages.running().select_for_update(of=("self",), no_key=True)
    row = (running if answer is None else running.filter(pk=answer.pk)).first()
    if row is None:
        return None
    worker = row.worker
    endings.take_from_writer(row)
    endings.end(row, endings.stopped(by))
    if worker is not None:
        events.stop_turn(worker.mailbox, row.pk, row.attempt)
    transaction.on_commit(lambda: live_text.close(row.pk, row.attempt))
    return row
