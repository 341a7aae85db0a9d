"""The steps that several verbs share: an answer is queued, the next question is promoted, an ending is told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Case, F, PositiveIntegerField, Q, QuerySet, When
from django.db.models.functions import Now
from django.utils import timezone

from assistant import catalogue, conf
from assistant.delivery import live_text, queue
from assistant.lifecycle import endings, ledger
from assistant.lifecycle.endings import Failure, take_live_text
from assistant.lifecycle.session_changes import session_changed
from assistant.models.ids import new_id
from assistant.models.message import Message, MessageRole, Status, next_version
from assistant.models.participant import Participant
from assistant.models.session import ChatSession
from assistant.models.system_prompt import SystemPrompt
from assistant.presentation import events
from assistant.statements import Select, Update, Value, insert

QUESTION_CHANGES = ("said", "updated_at", "last_position", "title", "titled_by")  # of its session


def open_turn(session: ChatSession, question: Message, by: Any = None, *, is_new: bool = False) -> Message:
    """A pending answer to `question` and the job that delivers it, in the caller's transaction.

    It is written with the session's settings as they are now, also by a later attempt. It uses the budget of `by`, or of
    who asked. A question that `is_new` is told here as well: behind the job, so that the worker is called before the frames
    are sent.
    """
    answer_id = new_id()
    answer = _make_answer(session, question, by, id=answer_id, job=queue.enqueue(answer_id))
    if is_new:
        events.message_created(question)
    events.message_created(answer)
    return answer


def _make_answer(session: ChatSession, question: Message, by: Any = None, **columns: Any) -> Message:
    answer = Message(
        session=session,
        role=MessageRole.ASSISTANT,
        status=Status.PENDING,
        position=question.position + 1,
        reply_to=question,
        charged_to_id=question.author_id if by is None else by.pk,
        model=question.model or session.model or default_model(),
        parameters=session.parameters,
        system_prompt=SystemPrompt.of(session),
        **columns,
    )
    insert(answer)
    return answer


def default_model() -> str:
    """The first of ASSISTANT_MODELS, or what can be had without it."""
    return catalogue.default()


_NEXT = Select(Message, lambda p: Message.objects.filter(session_id=p("session")).queued()[:1])


def promote_next(session: ChatSession) -> Message | None:
    """Turns the session's next waiting question into a running one, in the transaction that ended the last answer.

    The caller holds the session's lock. Nothing happens while the queue is paused or an answer is running.
    """
    if session.queue_paused_until is not None:
        return None
    is_idle = False
    while question := _NEXT.one(session=session):  # most often nothing waits, and this is all that is asked
        is_idle = is_idle or not session.messages.running().exists()
        if not is_idle:
            return None
        if not ledger.is_spent(question.author_id):
            return promote(session, question)
        _leave_queue(session, question)
        _refuse_turn(session, question)
    return None


def promote(session: ChatSession, question: Message) -> Message:
    """Turns a waiting question into a running one. The caller holds the session's lock, and nothing is running."""
    _leave_queue(session, question)
    return open_turn(session, question)


def _refuse_turn(session: ChatSession, question: Message) -> None:
    """An answer that has ended before it began: its author's budget was used up while the question waited.

    No model is called, and it is no failure of the session's: what others ask goes on.
    """
    answer = _make_answer(session, question)
    events.message_created(answer)
    endings.end(answer, endings.failed(Failure.of("over_quota")))


def _leave_queue(session: ChatSession, question: Message) -> None:
    won = (
        session.messages.queued()
        .filter(pk=question.pk)
        .update(status=Status.SUCCESS, finished_at=Now(), version=next_version())
    )
    assert won, "the session's lock keeps a withdrawal from coming between"
    note_said(session, question)
    events.message_changed(question)


def line_up(session: ChatSession, first: Sequence[Message]) -> None:
    """Puts `first`, in this order, before everything else that waits, and tells of each message that moved.

    `first` are waiting messages, or the newest ones: what waits stands behind all that was said, so that the thread only
    ever grows at its end, and an answer has before it what people said while its question waited. The positions that
    these messages have are dealt out anew among them; nothing else moves. The caller holds the session's lock.
    """
    ahead = {message.pk for message in first}
    order = [*first, *(message for message in session.messages.queued() if message.pk not in ahead)]
    places = sorted(message.position for message in order)
    for message, place in zip(order, places, strict=True):
        if message.position != place:
            message.position = place
            session.messages.filter(pk=message.pk).update(position=place, version=next_version())
            events.message_changed(message)


def end_turn(session: ChatSession, *, failed: Message | None) -> None:
    """What follows an ending: the next question is promoted; where it is a failure (`failed`) the queue rests instead.

    A model that is down would otherwise burn through everything that waits.
    """
    changed = ["said"]
    session.said += 1
    if failed is not None and session.messages.queued().exists():
        pause = timedelta(seconds=conf.settings.queue_pause)
        session.queue_paused_until = timezone.now() + pause
        session.queue_paused_for = {
            "message": str(failed.pk),
            "code": failed.error_code,
            "detail": failed.error_detail,
        }
        changed += ["queue_paused_until", "queue_paused_for"]
    elif failed is None and session.queue_paused_until is not None:
        session.queue_paused_until = None
        changed += ["queue_paused_until"]
    promoted = promote_next(session)
    session_changed(
        session, running=promoted is not None, changed=changed
    )  # a session has one running answer at most


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
    take_live_text(row)
    if row.status == Status.PROCESSING and not row.is_alive():
        ledger.record_lost(row)  # a living worker tells itself what the call has cost
    endings.end(row, endings.stopped(by))
    if worker is not None:
        events.stop_turn(worker.group, row.pk, row.attempt)
    transaction.on_commit(lambda: live_text.close(row.pk, row.attempt))
    return row


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
    stores QUESTION_CHANGES with it.
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


def touch(session: ChatSession) -> None:
    session.updated_at = timezone.now()
    session.save(update_fields=["updated_at", "last_position"])
