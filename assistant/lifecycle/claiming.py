"""How a worker takes answers that wait. The claim is the acknowledgement, and its attempt fences all that follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

from django.db import transaction
from django_q.models import OrmQ

from assistant.delivery import clock, queue
from assistant.lifecycle import call_endings, sources_and_pictures, suspicion, text_columns
from assistant.models.message import Claim, Message, Status, next_version
from assistant.models.worker import WorkerProcess
from assistant.presentation import events
from assistant.statements import Delete, Select, Update, Value, Values

S = TypeVar("S")

BATCH = 16  # so many answers are claimed at once at most


def _sized(make: Callable[[int], S]) -> dict[int, S]:
    """A statement says how many values it takes: one for a single answer, which is most often, or those of a batch."""
    return {size: make(size) for size in (1, BATCH)}


def _each(p: Value, size: int) -> list[Any]:
    return [p(f"id{index}", "id") for index in range(size)]


def _ids(ids: Sequence[Any]) -> dict[str, Any]:
    """Values for `_each`: where there are fewer than its size, the last one again."""
    size = 1 if len(ids) == 1 else BATCH
    return {f"id{index}": ids[min(index, len(ids) - 1)] for index in range(size)}


_OLDEST = Values(
    Message,
    lambda p: (
        Message.objects.answers()
        .filter(status=Status.PENDING, job__isnull=False, company=None)
        .order_by("job")
        .values("pk")[:BATCH]
    ),
)
# Asked for by themselves: however many there are, neither they nor the others hide what else waits.
_MOST_SUSPECTED = Values(
    Message,
    lambda p: (
        Message.objects.answers()
        .filter(status=Status.PENDING, job__isnull=False, company__isnull=False)
        .order_by("company", "job")
        .values("pk")[:BATCH]
    ),
)
_WAITING = Select(
    Message,
    lambda p: (
        Message.objects.answers()
        .filter(pk=p("id"), status=Status.PENDING)
        .select_for_update(of=("self",), no_key=True)
    ),
)
# What another transaction has locked is being stopped, or claimed by another worker.
_FREE = _sized(
    lambda size: Select(
        Message,
        lambda p: (
            Message.objects.answers()
            .filter(pk__in=_each(p, size), status=Status.PENDING, job__isnull=False)
            .select_for_update(of=("self",), no_key=True, skip_locked=True)
        ),
    )
)
_CLAIM_FIRST = _sized(
    lambda size: Update(
        Message,
        lambda p: (
            Message.objects.filter(pk__in=_each(p, size), status=Status.PENDING),
            {
                "status": Status.PROCESSING,
                "worker": p("worker"),
                "attempt": 1,
                "job": None,
                "is_parked": False,
                "started_at": p("started_at"),
                "version": next_version(),
            },
        ),
    )
)
_DELIVERED = _sized(lambda size: Delete(OrmQ, lambda p: OrmQ.objects.filter(pk__in=_each(p, size))))


def waiting() -> list[UUID]:
    """The answers that have waited longest for a worker, up to BATCH of them, in the order of their jobs."""
    return [row["pk"] for row in _OLDEST.all()]


def waiting_and_suspects() -> tuple[list[UUID], list[UUID]]:
    """Also those that may have killed a worker, which are `waiting` for a process that holds nothing else."""
    return waiting(), [row["pk"] for row in _MOST_SUSPECTED.all()]


def claim(message_id: UUID, worker: WorkerProcess) -> Claim | None:
    """Takes a pending answer for `worker`, or None: it was taken, stopped or deleted before. A duplicate job ends here.

    Its job leaves the queue in the same transaction: to claim it is to acknowledge it. It goes on after the last round of
    tool calls that is stored: text and calls up to there stay. What an earlier attempt wrote after that is put aside, for
    this one writes it anew. A suspect is refused whose job waits for a process that holds nothing: who claims it here comes
    with a job of before, and may hold others.
    """
    with transaction.atomic():
        message = _WAITING.one(id=message_id)
        if message is None or (message.company is not None and queue.is_kept_for_a_free_process(message.job)):
            return None
        return _claimed([message], worker)[0]


def claim_any(message_ids: Sequence[UUID], worker: WorkerProcess) -> list[Claim]:
    """As `claim`, of up to BATCH answers at once: of those that wait and that nobody else is about to change.

    Suspects are left to `claim_suspects`.
    """
    ids = _ids(message_ids)
    with transaction.atomic():
        messages = [message for message in _FREE[len(ids)].all(**ids) if message.company is None]
        return _claimed(messages, worker) if messages else []


def claim_suspects(message_ids: Sequence[UUID], worker: WorkerProcess) -> list[Claim]:
    """As `claim_any`, for a worker that holds nothing: as many of these suspects as may be tried together."""
    ids = _ids(message_ids)
    with transaction.atomic():
        suspects = [message for message in _FREE[len(ids)].all(**ids) if message.company is not None]
        tried = suspicion.may_be_tried(worker, suspects)
        return _claimed(tried, worker) if tried else []


def _claimed(messages: list[Message], worker: WorkerProcess) -> list[Claim]:
    """Claims `messages`, whose rows are locked: two statements for all that were never claimed before."""
    if jobs := [message.job for message in messages if message.job is not None]:
        ids = _ids(jobs)
        _DELIVERED[len(ids)].run(**ids)
    first = [message for message in messages if not message.attempt]
    claims = _first_claims(first, worker) if first else []
    claims += [_next_claim(message, worker) for message in messages if message not in first]
    for message in messages:
        events.message_written(message)
    return claims


def _first_claims(messages: list[Message], worker: WorkerProcess) -> list[Claim]:
    """Of answers of which nothing is written."""
    ids = _ids([message.pk for message in messages])
    began = clock.now()  # known here without asking, as it is told at once
    claims = [Claim(message.pk, message.session_id, worker.pk, 1, message.job) for message in messages]
    won = _CLAIM_FIRST[len(ids)].run(worker=worker, started_at=began, **ids)
    assert won == len(messages), "the locks keep every other worker away"
    for message in messages:
        message.status, message.worker_id, message.attempt = Status.PROCESSING, worker.pk, 1
        message.job, message.is_parked, message.started_at = None, False, began
        message.version += 1
    return claims


def _next_claim(message: Message, worker: WorkerProcess) -> Claim:
    job, ends = message.job, call_endings.ends_of(message)
    text, reasoned = message.content[: ends[-1]] if ends else "", call_endings.reasoned_before(message)
    taken = text_columns.begun(message, text, reasoned) | {
        "status": Status.PROCESSING,
        "worker_id": worker.pk,
        "attempt": message.attempt + 1,
        "job": None,
        "is_parked": False,
        "last_piece_at": None,
        "error_code": "",
        "error_detail": "",
        "missing": None,
        "version": message.version + 1,
        **sources_and_pictures.of_stored_rounds(message),
    }
    won = Message.objects.filter(pk=message.pk, status=Status.PENDING, attempt=message.attempt).update(**taken)
    assert won, "the lock keeps every other worker away"
    for name, value in taken.items():
        setattr(message, name, value)
    if message.rounds:
        call_endings.inherit_calls(message)
    events.message_reset(message, text, ends)
    sources = tuple(taken["sources"] or ())
    is_suspect = message.company is not None
    return Claim(
        message.pk, message.session_id, worker.pk, message.attempt, job, text, ends, reasoned, sources, is_suspect
    )
