"""What a worker does with an answer. Every write names worker and attempt: a late worker's write changes nothing."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from assistant.delivery import live_text
from assistant.lifecycle import endings, text_columns
from assistant.lifecycle.endings import AskedModels as AskedModels
from assistant.lifecycle.endings import Ending
from assistant.lifecycle.endings import Failure as Failure
from assistant.lifecycle.queueing import after_ending
from assistant.lifecycle.text_columns import Written as Written  # what the verbs here are told
from assistant.models.message import Claim, Cut, Message, Status, next_version
from assistant.models.one import one
from assistant.models.session import ChatSession
from assistant.presentation import events, wire
from assistant.statements import Select, Values

# As `held_by`, the row locked: a checkpoint may be under way. Under the session's lock, so what waits stays as it is.
_HELD = Select(
    Message,
    lambda p: (
        Message.objects.filter(
            pk=p("id"),
            status=Status.PROCESSING,
            worker_id=p("worker"),
            attempt=p("attempt"),
        )
        .annotate(has_followers=Exists(Message.objects.filter(session_id=OuterRef("session_id")).queued()))
        .select_for_update(of=("self",), no_key=True)
    ),
)

_ROWS_HELD = Values(
    Message,
    lambda p: Message.objects.filter(status=Status.PROCESSING, worker_id=p("worker")).values("pk", "attempt"),
)


def checkpoint(written: dict[Claim, Written]) -> set[Claim]:
    """Stores how far several turns have come, in one transaction; returns the claims that no longer hold.

    What is stored already may be more: a round that was stored while this was on its way.
    """
    lost = set()
    with transaction.atomic():
        for claim_, text in written.items():
            held = Message.objects.held_by(claim_)
            fresh = held.filter(seq__lte=text.seq)
            if text.reasoned:
                fresh = fresh.filter(reasoning_seq__lte=text.reasoned.seq)
            stored = fresh.update(last_piece_at=Now(), version=next_version(), **text.columns())
            if not stored and not held.exists():
                lost.add(claim_)
    return lost


def rows_held_by(worker_id: UUID) -> set[tuple[UUID, int]]:
    """What a worker holds according to the database, as (message id, attempt)."""
    return {(row["pk"], row["attempt"]) for row in _ROWS_HELD.all(worker=worker_id)}


def succeed(
    claim_: Claim,
    written: Written,
    usage: dict[str, Any] | None,
    asked: AskedModels | None = None,
    cut: Cut | None = None,
) -> bool:
    """Ends the turn well. False: it was no longer this worker's to end, and nothing was changed."""
    return _end(claim_, written, endings.succeeded(usage, asked, cut))


def fail(
    claim_: Claim,
    written: Written,
    failure: Failure,
    usage: dict[str, Any] | None = None,
    asked: AskedModels | None = None,
) -> bool:
    """Ends the turn with a failure that people can read; what was written before is kept. False as in `succeed`."""
    return _end(claim_, written, endings.failed(failure, usage, asked))


def hand_over(claim_: Claim, written: Written) -> bool:
    """Puts a turn back for another worker: this one is stopping. False as in `succeed`."""
    return let_go(claim_, written)


def let_go(claim_: Claim, written: Written, *, goes_on: bool = False) -> bool:
    """Lets go of an answer and gives it a fresh job, in one transaction: nothing collides with what is let go.

    `goes_on`: between two rounds, so nothing is begun anew. False as in `succeed`.
    """
    with transaction.atomic():
        message = held_under_lock(claim_, written)
        if message is None:
            return False
        endings.give_back(message, goes_on=goes_on)
    return True


def note_missing(claim_: Claim, missing: list[dict[str, str]]) -> bool:
    """Notes the servers without whose tools the answer is written now, for people. False as in `succeed`."""
    with transaction.atomic():
        if not Message.objects.held_by(claim_).update(missing=missing or None, version=next_version()):
            return False
        events.message_changed(Message(pk=claim_.message_id))
    return True


def tell_again(message_id: UUID) -> None:
    """Announces a message as it now stands. A commit whose answer was lost has told nobody."""
    with transaction.atomic():
        if message := one(Message.objects.filter(pk=message_id)):
            events.message_changed(message)


def held_under_lock(claim_: Claim, written: Written) -> Message | None:
    """The answer that `claim_` holds, with its session, both locked; None: it is no longer this claim's.

    It shows the text as its worker has it, which whoever goes on from here stores.
    """
    session = ChatSession.objects.locked(claim_.session_id)
    message = _HELD.one(id=claim_.message_id, worker=claim_.worker_id, attempt=claim_.attempt) if session else None
    if session is None or message is None:
        return None
    message.session = session
    text_columns.take_over(message, written)
    return message


def _end(claim_: Claim, written: Written, ending: Ending) -> bool:
    drawn = (
        written.content,
        wire.rendered(written.content, written.ends),
    )  # a long text takes a while: not under the lock
    with transaction.atomic():
        message = held_under_lock(claim_, written)
        if message is None:
            return False
        endings.end(message, ending, drawn)
        # A budget is its owner's trouble, not the session's: what others ask goes on.
        is_trouble = ending.failure is not None and ending.failure.code not in ("over_quota", "unpriced")
        is_last = not message.has_followers  # type: ignore[attr-defined]  # an annotation
        after_ending(message.session, failed=message if is_trouble else None, is_last=is_last)
        transaction.on_commit(lambda: live_text.discard(claim_.message_id))
    return True
