"""What people do with messages: send, edit, withdraw, stop, retry, go on with a paused queue."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from assistant import catalogue, conf, events, live, queue, wire
from assistant.lifecycle import attaching
from assistant.lifecycle.refusal import Refused
from assistant.lifecycle.turns import (
    end_turn,
    line_up,
    note_question,
    open_turn,
    promote_next,
    stop_answer,
    touch,
)
from assistant.models.message import Author, Message, Status, next_version
from assistant.models.session import UNTITLED, ChatSession, WhenBusy

RETRY_AFTER_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Sent:
    message: Message
    reply: Message | None  # None while the question waits in the queue
    is_new: bool  # False: this client_id was sent before; nothing was done


def send(
    session: ChatSession,
    author: Any,
    content: str,
    client_id: str,
    model: str = "",
    when: str = "",
    attachments: Sequence[UUID] = (),
) -> Sent:
    """Stores a question, and its pending answer with the job for it.

    While an answer is being written, or others wait, `when` (by default the session's own) decides: "queue" waits its
    turn; "steer" does too, unless the running answer takes it along before its next round (`steering.take`);
    "interrupt" stops the running answer, keeps what it has, and is answered at once.
    The same `client_id` of the same author again returns what it made the first time.
    `attachments` are ids of files that the author has uploaded; with one a message needs no text.
    Raises Refused: empty, too_long, invalid_model, queue_full, not_found, and what `attaching.send_with` raises.
    """
    content = checked_content(content, may_be_empty=bool(attachments))
    check_model(model)
    with transaction.atomic():
        locked = _lock(session)
        if before := locked.messages.filter(author=author, client_id=client_id).first():
            return Sent(before, before.replies.order_by("id").first(), is_new=False)
        when = when or locked.when_busy
        must_wait = when != WhenBusy.INTERRUPT and _must_wait(locked)
        locked.last_position += 2
        message = Message.objects.create(
            session=locked,
            role=Author.USER,
            author=author,
            client_id=client_id,
            content=content,
            html=wire.rendered(content),
            model=model,
            when=when,
            position=locked.last_position,
            status=Status.PENDING if must_wait else Status.SUCCESS,
            finished_at=None if must_wait else timezone.now(),
        )
        attaching.send_with(message, attachments)
        touch(locked)
        note_question(locked, author, message.mentions)
        events.message_created(message)
        if must_wait:
            reply = None
            if promote_next(locked):  # nothing ran after all: a queue that rested for no reason starts again
                message.refresh_from_db()
                reply = message.replies.first()
        else:
            line_up(locked, [message])
            _make_way(locked, author)
            reply = open_turn(locked, message)
            message.refresh_from_db()
        events.session_changed(locked, running=True if reply else None)
        return Sent(message, reply, is_new=True)


def _must_wait(session: ChatSession) -> bool:
    """Whether a question has to wait now. Raises Refused (queue_full) if there is no room for it to."""
    waiting = session.messages.queued().count()
    if not (waiting or session.queue_paused_until is not None or session.messages.running().exists()):
        return False
    limit = conf.get("ASSISTANT_QUEUE_LIMIT")
    if waiting >= limit:
        raise Refused(
            "queue_full",
            f"{limit} messages wait in this session already. Send yours once some are answered.",
            status=429,
            retry_after=RETRY_AFTER_SECONDS,
        )
    return True


def _make_way(session: ChatSession, by: Any) -> None:
    """Ends what keeps a question waiting: the running answer is stopped, a pause is over."""
    stop_answer(session, by)
    if session.queue_paused_until is not None:
        session.queue_paused_until = None
        session.save(update_fields=["queue_paused_until"])


def edit(message: Message, content: str) -> Message:
    """Changes a question that still waits. Raises Refused (already_promoted, and what `send` raises for content)."""
    content = checked_content(content, may_be_empty=message.attachments.exists())
    return _change_queued(message, content=content, html=wire.rendered(content))


def withdraw(message: Message) -> Message:
    """Takes a waiting question back. Withdrawing and promoting can't both win. Raises Refused (already_promoted)."""
    return _change_queued(message, status=Status.CANCELLED, finished_at=Now())


def _change_queued(message: Message, **changes: Any) -> Message:
    with transaction.atomic():
        session = _lock(message.session)
        if not session.messages.queued().filter(pk=message.pk).update(version=next_version(), **changes):
            raise Refused("already_promoted", "This message is no longer waiting; it can't be changed now.")
        if "status" in changes and not session.messages.queued().exists() and session.queue_paused_until:
            session.queue_paused_until = None  # nothing is left that the pause could hold back
            session.save(update_fields=["queue_paused_until"])
            events.session_changed(session)
        if changes.get("status") == Status.CANCELLED:
            attaching.release(message)
        events.message_changed(message)
    message.refresh_from_db()
    return message


def cancel(message: Message, by: Any) -> Message:
    """Stops an answer; what has been shown of it is kept. Raises Refused (already_finished)."""
    if not message.is_answer:
        raise Refused("not_an_answer", "Only an answer can be stopped; a waiting message can be withdrawn.", 409)
    with transaction.atomic():
        session = _lock(message.session)
        row = stop_answer(session, by, message)
        if row is None:
            raise Refused("already_finished", "This answer had already ended.")
        end_turn(session, failed=False)
    return Message.objects.shown().get(pk=row.pk)


def retry(message: Message, model: str = "") -> Message:
    """A new answer to the question that `message` answers. Raises Refused (session_busy, invalid_model)."""
    check_model(model)
    with transaction.atomic():
        session = _lock(message.session)
        question = message.reply_to if message.is_answer else message
        if question is not None and question.taken_by is not None:
            question = question.taken_by.reply_to  # it joined in there, and is told along with it
        if question is None or question.status != Status.SUCCESS:
            raise Refused("not_answerable", "This message waits to be answered, or was withdrawn.")
        if session.messages.running().exists():
            raise Refused("session_busy", "An answer is being written here already. Wait for it, or stop it.")
        if model:
            question.model = model
        answer = open_turn(session, question)
        touch(session)
        events.session_changed(session, running=True)
    return answer


def resume(session: ChatSession) -> None:
    """Goes on with a queue that a failure has paused. Harmless otherwise."""
    with transaction.atomic():
        locked = _lock(session)
        locked.queue_paused_until = None
        locked.save(update_fields=["queue_paused_until"])
        promote_next(locked)
        events.session_changed(locked)


def change(
    session: ChatSession,
    *,
    title: str | None = None,
    model: str | None = None,
    services: list[str] | None = None,
) -> None:
    """Renames a session, chooses its model or its services; `session` shows the change. Raises Refused (not_found).

    Only what is given is written, on the row as it is under its lock: a send at the same moment keeps what it changed.
    """
    with transaction.atomic():
        locked = _lock(session)
        if title is not None:
            locked.title = title.strip() or UNTITLED
        if model is not None:
            locked.model = model
        if services is not None:
            locked.services = list(dict.fromkeys(services))
        locked.save(update_fields=["title", "model", "services"])
        events.session_changed(locked)
    for name in ("title", "model", "services", "version"):
        setattr(session, name, getattr(locked, name))


def delete(session: ChatSession) -> None:
    """Deletes a session with all that belongs to it; what is being written there is stopped quietly."""
    with transaction.atomic():
        locked = _lock(session)
        for answer in locked.messages.running().select_related("worker"):
            queue.withdraw(answer.job)
            if answer.worker is not None:
                events.stop_turn(answer.worker.group, answer.pk, answer.attempt)
            transaction.on_commit(functools.partial(live.close, answer.pk, answer.attempt))
        events.access_ended(session.pk)
        attaching.delete_with(locked)
        locked.delete()


def checked_content(content: str, *, may_be_empty: bool = False) -> str:
    """The text as it is stored. Raises Refused: empty, too_long (with the number)."""
    content = content.replace("\x00", "").strip()  # PostgreSQL stores no NUL
    longest = conf.get("ASSISTANT_MAX_LENGTH")
    if not content and not may_be_empty:
        raise Refused("empty", "Write something first.", status=422)
    if len(content) > longest:
        raise Refused(
            "too_long",
            f"A message may have {longest:,} characters; this one has {len(content):,}.",
            status=422,
        )
    return content


def check_model(model: str) -> None:
    if model and not catalogue.offers(model):
        raise Refused("invalid_model", f"There is no model {model!r} here. GET /api/models lists them.", status=422)


def _lock(session: ChatSession) -> ChatSession:
    locked = ChatSession.objects.locked(session.pk)
    if locked is None:
        raise Refused("not_found", "This session has been deleted.", status=404)
    return locked
