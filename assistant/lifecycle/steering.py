"""Messages that ride along with the running answer: its tool loop takes them up between two rounds."""

from __future__ import annotations

from django.db import transaction
from django.db.models.functions import Now

from assistant.lifecycle.queueing import line_up
from assistant.lifecycle.session_changes import session_changed
from assistant.lifecycle.unread import note_said
from assistant.models.message import Claim, Message, Status, next_version
from assistant.models.session import ChatSession
from assistant.presentation import events


def take(claim: Claim, rounds: int) -> list[Message]:
    """Takes what waits to steer the answer that `claim` holds; returns those messages in order, with their authors.

    To be called between two rounds of a running turn: after the results of round `rounds` (counted from 1; how many
    rounds of tool calls the answer has behind it) are stored, and before the model is asked again, with the messages put
    behind those results. A turn that ends without another round calls nothing: then they are promoted like everything
    that waits.

    One transaction: each message taken is `success` and names the answer (`taken_by`) and the round (`taken_round`), so
    from its commit on it is part of that answer's prompt, whoever writes it (`taken_along`), and no queue's. A worker
    that dies before the commit has taken nothing; one that dies after it has taken them for its successor. Fenced: if
    the claim no longer holds (stopped, taken over, deleted), nothing is taken and the list is empty.
    """
    with transaction.atomic():
        session = ChatSession.objects.locked(claim.session_id)
        if session is None or not Message.objects.held_by(claim).exists():
            return []
        taken = list(session.messages.steering().select_related("author"))
        if not taken:
            return []
        line_up(session, taken)
        won = (
            session.messages.queued()
            .filter(pk__in=[message.pk for message in taken])
            .update(
                status=Status.SUCCESS,
                taken_by=claim.message_id,
                taken_round=rounds,
                finished_at=Now(),
                version=next_version(),
            )
        )
        assert won == len(taken), "the session's lock keeps a withdrawal from coming between"
        for message in taken:
            note_said(session, message)
            events.message_changed(message)
        session_changed(session)
    return taken


def taken_along(answer: Message) -> list[Message]:
    """What the answers to the same question have taken along so far, in order, with their authors.

    A new attempt is told each after the round it joined (`taken_round`), never between a call and its result; where
    that round is not stored, after the last one before it that is. A new answer to the same question (a retry) has no
    such rounds: it is told them right after the question, for they have no other answer.
    """
    taken = Message.objects.filter(taken_by__reply_to=answer.reply_to_id, status=Status.SUCCESS)
    return list(taken.select_related("author").in_order())
