"""A session's queue: a question gets its pending answer and the job for it, the next is promoted, a failure pauses it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db.models.functions import Now

from assistant import catalogue, conf
from assistant.delivery import clock, queue
from assistant.lifecycle import budgets, endings
from assistant.lifecycle.endings import Failure
from assistant.lifecycle.session_changes import session_changed
from assistant.lifecycle.unread import note_said
from assistant.models.ids import new_id
from assistant.models.message import Message, MessageRole, Status, next_version
from assistant.models.session import ChatSession
from assistant.models.system_prompt import SystemPrompt
from assistant.presentation import events
from assistant.statements import Select, insert


def ask_for_answer(session: ChatSession, question: Message, by: Any = None, *, is_new: bool = False) -> Message:
    """A pending answer to `question` and the job that delivers it, in the caller's transaction.

    It is written with the session's settings as they are now, also by a later attempt. It uses the budget of `by`, or of
    who asked. A question that `is_new` is told here as well: behind the job, so that the worker is called before the frames
    are sent. One that is not stored yet is stored with its answer.
    """
    answer_id = new_id()
    answer = _new_answer(session, question, by, id=answer_id, job=queue.enqueue(answer_id))
    insert(*([question, answer] if question._state.adding else [answer]))
    if is_new:
        events.message_created(question)
    events.message_created(answer)
    return answer


def _new_answer(session: ChatSession, question: Message, by: Any = None, **columns: Any) -> Message:
    return Message(
        session=session,
        role=MessageRole.ASSISTANT,
        status=Status.PENDING,
        position=question.position + 1,
        reply_to=question,
        charged_to_id=question.author_id if by is None else by.pk,
        model=question.model or session.model or catalogue.default(),
        parameters=session.parameters,
        system_prompt=SystemPrompt.of(session),
        **columns,
    )


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
        if not budgets.is_spent(question.author_id):
            return promote(session, question)
        _leave_queue(session, question)
        _refuse_over_quota(session, question)
    return None


def promote(session: ChatSession, question: Message) -> Message:
    """Turns a waiting question into a running one. The caller holds the session's lock, and nothing is running."""
    _leave_queue(session, question)
    return ask_for_answer(session, question)


def _refuse_over_quota(session: ChatSession, question: Message) -> None:
    """An answer that has ended before it began: its author's budget was used up while the question waited.

    No model is called, and it is no failure of the session's: what others ask goes on.
    """
    answer = _new_answer(session, question)
    insert(answer)
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


def after_ending(session: ChatSession, *, failed: Message | None, is_last: bool = False) -> None:
    """What follows an ending: the next question is promoted; where it is a failure (`failed`) the queue rests instead.

    A model that is down would otherwise burn through everything that waits. `is_last`: the caller has seen, under the
    session's lock, that nothing waits.
    """
    changed = ["said"]
    session.said += 1
    if failed is not None and not is_last and session.messages.queued().exists():
        pause = timedelta(seconds=conf.settings.queue_pause)
        session.queue_paused_until = clock.now() + pause
        session.queue_paused_for = {
            "message": str(failed.pk),
            "code": failed.error_code,
            "detail": failed.error_detail,
        }
        changed += ["queue_paused_until", "queue_paused_for"]
    elif failed is None:
        end_pause(session)
    promoted = None if is_last else promote_next(session)
    session_changed(
        session, running=promoted is not None, changed=changed
    )  # a session has one running answer at most


def end_pause(session: ChatSession) -> None:
    """Nothing holds back any more what waits; whoever calls this promotes it. The caller holds the session's lock."""
    if session.queue_paused_until is not None:
        session.queue_paused_until = None
        session.save(update_fields=["queue_paused_until"])
