"""What people do with messages: send, edit, withdraw, stop, retry, go on with a paused queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from assistant import catalogue, conf
from assistant.delivery import clock
from assistant.lifecycle import attaching, budgets, refusal, titling
from assistant.lifecycle.queueing import after_ending, ask_for_answer, end_pause, line_up, promote_next
from assistant.lifecycle.refusal import Refused
from assistant.lifecycle.session_changes import lock, session_changed
from assistant.lifecycle.stopping import stop_answer
from assistant.lifecycle.unread import note_question
from assistant.models.message import Message, MessageRole, Status, next_version
from assistant.models.participant import display_name
from assistant.models.session import ChatSession, Replies, WhenBusy
from assistant.models.user_id import ShownId, shown_id
from assistant.presentation import events, wire
from assistant.statements import Values, insert
from assistant.text import mentions
from assistant.text.blank import is_blank

RETRY_AFTER_SECONDS = 5
QUESTION_CHANGES = ("said", "updated_at", "last_position", "title", "titled_by")  # of its session


@dataclass(frozen=True, slots=True)
class Sent:
    message: Message
    reply: Message | None  # None while the question waits in the queue
    is_new: bool  # False: this client_id was sent before; nothing was done


_SENT_BEFORE_OR_UNFINISHED = Values(
    Message,
    lambda p: (
        Message.objects.filter(session_id=p("session"), author_id=p("author"), client_id=p("client_id"))
        .values("pk", "author_id", "client_id", "status")
        .union(
            Message.objects.unfinished()
            .filter(session_id=p("session"))
            .values("pk", "author_id", "client_id", "status")
        )
    ),
)


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
    "interrupt" stops the running answer, keeps what it has, and is answered at once. Where the session replies only when
    mentioned, a message that doesn't mention the assistant is no question: it is said at once and waits for nothing.
    The same `client_id` of the same author again returns what it made the first time, if the content is the same too.
    `attachments` are ids of files that the author has uploaded; with one a message needs no text.
    Raises Refused: empty, too_long, invalid_model, client_id_used, too_fast, over_quota, queue_full, not_found, and what
    `attaching.send_with` raises.
    """
    content = checked_content(content, may_be_empty=bool(attachments))
    check_model(model)
    with transaction.atomic():
        locked = lock(session)
        others = _SENT_BEFORE_OR_UNFINISHED.all(session=locked, author=author, client_id=client_id)
        if before := _sent_before(locked, others, author, client_id, content):
            return before
        is_question = locked.replies == Replies.EVERY or mentions.is_addressed(content, _label(locked, model))
        check_asking_rate(author)
        if is_question:
            budgets.check_budget(author, locked)
        when = (when or locked.when_busy) if is_question else ""
        # Most often nothing goes on: then nothing has to be stopped, overtaken or waited for.
        is_idle = locked.queue_paused_until is None and not others
        must_wait = not is_idle and is_question and when != WhenBusy.INTERRUPT and _must_wait(locked)
        message = _new_message(locked, author, content, waits=must_wait, client_id=client_id, model=model, when=when)
        if attachments or not (is_idle and is_question):  # else it is stored together with its answer
            insert(message)
        attaching.send_with(message, attachments)
        locked.updated_at = clock.now()
        titling.name_by_words(locked, content or attaching.first_name(message))
        note_question(locked, author, message.mentions, waits=must_wait)
        reply: Message | None
        if is_idle and is_question:
            reply = ask_for_answer(locked, message, is_new=True)
        else:
            events.message_created(message)
            reply = None if is_idle else _line_up_new(locked, message, author, is_question)
        session_changed(locked, running=True if reply else None, changed=QUESTION_CHANGES)
        return Sent(message, reply, is_new=True)


def _sent_before(
    session: ChatSession, found: list[dict[str, Any]], author: Any, client_id: str, content: str
) -> Sent | None:
    for row in found:
        if (row["author_id"], row["client_id"]) == (author.pk, client_id):
            return sent_again(session.messages.get(pk=row["pk"]), content)
    return None


def sent_again(before: Message, content: str) -> Sent:
    """What the first send with this `client_id` made. Raises Refused (client_id_used): it had other content.

    A message that was edited since is what it has become: nobody knows any more what it was sent as.
    """
    if before.content != content and not before.is_edited:
        raise Refused("client_id_used", "You have sent another message with this client_id. Take a new one.")
    return Sent(before, before.replies.order_by("id").first(), is_new=False)


def _new_message(session: ChatSession, author: Any, content: str, *, waits: bool, **fields: str) -> Message:
    """The message, at the session's end; not stored yet."""
    session.last_position += 2
    return Message(
        session=session,
        role=MessageRole.USER,
        author=author,
        content=content,
        html=wire.rendered(content),
        mentions=_people_in(session, content),
        position=session.last_position,
        status=Status.PENDING if waits else Status.SUCCESS,
        finished_at=None if waits else clock.now(),
        **fields,
    )


def _line_up_new(session: ChatSession, message: Message, author: Any, is_question: bool) -> Message | None:
    """Where a message goes that is said while others wait or are answered. Returns its answer, if it is asked now."""
    if message.status == Status.PENDING:
        if promote_next(session) is None:
            return None
        message.refresh_from_db()  # nothing ran after all: a queue that rested for no reason starts again
        return message.replies.first()
    line_up(session, [message])
    if is_question:
        make_way(session, author)
    message.refresh_from_db()
    return ask_for_answer(session, message) if is_question else None


def _label(session: ChatSession, model: str) -> str:
    return catalogue.label(model or session.model or catalogue.default())


def _people_in(session: ChatSession, content: str) -> list[ShownId]:
    """Ids of the participants whom the text mentions."""
    if "@" not in content:
        return []
    people = [person.user for person in session.participants.select_related("user").order_by("joined_at", "id")]
    return mentions.people_in(
        content, [(shown_id(user.pk), (display_name(user), user.get_username())) for user in people]
    )


def _must_wait(session: ChatSession) -> bool:
    """Whether a question has to wait now. Raises Refused (queue_full) if there is no room for it to."""
    waiting = session.messages.queued().count()
    if not (waiting or session.queue_paused_until is not None or session.messages.running().exists()):
        return False
    limit = conf.settings.queue_limit
    if waiting >= limit:
        raise Refused(
            "queue_full",
            f"{limit} messages wait in this session already. Send yours once some are answered.",
            status=429,
            retry_after=RETRY_AFTER_SECONDS,
        )
    return True


def make_way(session: ChatSession, by: Any) -> None:
    """Ends what keeps a question waiting: the running answer is stopped, a pause is over."""
    stop_answer(session, by)
    end_pause(session)


def edit(message: Message, content: str) -> Message:
    """Changes a question that still waits; a question it stays, also without its mention.

    Raises Refused: already_promoted, already_withdrawn, and what `send` raises for content.
    """
    content = checked_content(content, may_be_empty=message.attachments.exists())
    named = _people_in(message.session, content)
    return _change_queued(message, is_edited=True, content=content, html=wire.rendered(content), mentions=named)


def withdraw(message: Message) -> Message:
    """Takes a waiting question back. Withdrawing and promoting can't both win.

    Raises Refused: already_promoted, already_withdrawn.
    """
    return _change_queued(message, status=Status.CANCELLED, finished_at=Now())


def waits_no_longer(message: Message) -> Refused:
    """Why what waited can't be changed, moved or sent any more. The session's lock is held."""
    if Message.objects.filter(pk=message.pk, status=Status.CANCELLED).exists():
        return Refused("already_withdrawn", "This message has been withdrawn already.")
    return Refused("already_promoted", "This message is no longer waiting; it can't be changed now.")


def _change_queued(message: Message, **changes: Any) -> Message:
    with transaction.atomic():
        session = lock(message.session)
        if not session.messages.queued().filter(pk=message.pk).update(version=next_version(), **changes):
            raise waits_no_longer(message)
        if "status" in changes and not session.messages.queued().exists():
            end_pause(session)  # nothing is left that it could hold back
        if changes.get("status") == Status.CANCELLED:
            attaching.release(message)
        events.message_changed(message)
        # With a version of its own it is noticed by whom it did not reach: nothing else that follows would show it.
        session_changed(session)
    message.refresh_from_db()
    return message


def cancel(message: Message, by: Any) -> Message:
    """Stops an answer; what has been shown of it is kept. Raises Refused (already_finished)."""
    if not message.is_answer:
        raise Refused("not_an_answer", "Only an answer can be stopped; a waiting message can be withdrawn.", 409)
    with transaction.atomic():
        session = lock(message.session)
        row = stop_answer(session, by, message)
        if row is None:
            raise Refused("already_finished", "This answer had already ended.")
        after_ending(session, failed=None)
    return Message.objects.shown().get(pk=row.pk)


def retry(message: Message, model: str = "", by: Any = None) -> Message:
    """A new answer to the question that `message` answers, at the cost of `by`.

    Raises Refused (session_busy, invalid_model, too_fast, over_quota).
    """
    check_model(model)
    with transaction.atomic():
        session = lock(message.session)
        # As it is under the lock: it may have been asked anew since it was looked for.
        question = session.messages.filter(pk=message.reply_to_id or message.pk).first()
        if question is not None and question.taken_by is not None:
            question = question.taken_by.reply_to  # it joined in there, and is told along with it
        if question is None or question.status != Status.SUCCESS:
            raise Refused("not_answerable", "This message waits to be answered, or was withdrawn.")
        if question.superseded_by_id is not None:
            raise Refused("not_answerable", "This question was asked anew, in other words. Answer that one again.")
        if session.messages.running().exists():
            raise Refused("session_busy", "An answer is being written here already. Wait for it, or stop it.")
        if by is not None:
            check_asking_rate(by)
            budgets.check_budget(by, session)
        if model:
            question.model = model
        answer = ask_for_answer(session, question, by)
        _touch(session)
        session_changed(session, running=True)
    return answer


def _touch(session: ChatSession) -> None:
    session.updated_at = clock.now()
    session.save(update_fields=["updated_at", "last_position"])


def resume(session: ChatSession) -> None:
    """Goes on with a queue that a failure has paused. Harmless otherwise."""
    with transaction.atomic():
        locked = lock(session)
        end_pause(locked)
        promote_next(locked)
        session_changed(locked)


def checked_content(content: str, *, may_be_empty: bool = False) -> str:
    """The text as it is stored. Raises Refused: empty, too_long (with the number)."""
    content = content.replace("\x00", "").strip()  # PostgreSQL stores no NUL
    content = "" if is_blank(content) else content
    longest = conf.settings.max_length
    if not content and not may_be_empty:
        raise Refused("empty", "Write something first.", status=422)
    if len(content) > longest:
        raise Refused(
            "too_long",
            f"A message may have {longest:,} characters; this one has {len(content):,}.",
            status=422,
        )
    return content


def check_asking_rate(user: Any) -> None:
    """Raises Refused (too_fast, 429) where `user` asks too often."""
    limit = conf.settings.rate_limit
    detail = f"You may ask {limit} times in a minute. Ask again in {{seconds}} s."
    refusal.check_rate(f"ask:{user.pk}", limit, detail)


def check_model(model: str) -> None:
    if "*" in model:
        detail = f"{model!r} stands for many models. Name one of them by its full id."
        raise Refused("invalid_model", detail, status=422)
    if model and not catalogue.offers(model):
        raise Refused("invalid_model", f"There is no model {model!r} here. GET /api/models lists them.", status=422)
