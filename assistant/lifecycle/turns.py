"""The steps that several verbs share: an answer is queued, the next question is promoted, an ending is told."""

from __future__ import annotations

from datetime import timedelta

from django.db.models.functions import Now
from django.utils import timezone

from assistant import conf, events, live, queue
from assistant.models.ids import new_id
from assistant.models.message import Author, Message, Status, next_version
from assistant.models.session import ChatSession


def open_turn(session: ChatSession, question: Message) -> Message:
    """A pending answer to `question` and the job that delivers it, in the caller's transaction."""
    answer_id = new_id()
    answer = Message.objects.create(
        id=answer_id,
        session=session,
        role=Author.ASSISTANT,
        status=Status.PENDING,
        position=question.position + 1,
        reply_to=question,
        model=question.model or session.model or default_model(),
        job=queue.enqueue(answer_id),
    )
    events.message_created(answer)
    return answer


def default_model() -> str:
    """The first of ASSISTANT_MODELS, or what can be had without it."""
    from assistant import catalogue

    return catalogue.default()


def promote_next(session: ChatSession) -> Message | None:
    """Turns the session's oldest waiting question into a running one, in the transaction that ended the last answer.

    The caller holds the session's lock. Nothing happens while the queue is paused or an answer is running.
    """
    if session.queue_paused_until is not None or session.messages.running().exists():
        return None
    question = session.messages.queued().first()
    if question is None:
        return None
    won = (
        session.messages.queued()
        .filter(pk=question.pk)
        .update(status=Status.SUCCESS, finished_at=Now(), version=next_version())
    )
    assert won, "the session's lock keeps a withdrawal from coming between"
    events.message_changed(question)
    return open_turn(session, question)


def end_turn(session: ChatSession, *, failed: bool) -> None:
    """What follows an ending: the next question is promoted; after a failure the queue rests for a while instead.

    A model that is down would otherwise burn through everything that waits.
    """
    if failed and session.messages.queued().exists():
        pause = timedelta(seconds=conf.get("ASSISTANT_QUEUE_PAUSE"))
        session.queue_paused_until = timezone.now() + pause
        session.save(update_fields=["queue_paused_until"])
    elif not failed and session.queue_paused_until is not None:
        session.queue_paused_until = None
        session.save(update_fields=["queue_paused_until"])
    promote_next(session)
    events.session_changed(session)


def take_live_text(message: Message) -> None:
    """Seals the live text of an answer and takes over what it has beyond the last checkpoint.

    The caller has locked the message's row, so that no worker claims it meanwhile.
    """
    if message.status != Status.PROCESSING:
        return
    shown = live.seal(message.pk, message.attempt)
    if shown is not None and shown.seq >= message.seq:
        message.content, message.seq = shown.content, shown.seq


def touch(session: ChatSession) -> None:
    session.updated_at = timezone.now()
    session.save(update_fields=["updated_at", "last_position"])
