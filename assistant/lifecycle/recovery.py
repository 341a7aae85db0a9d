"""What is done for answers whose worker or job is gone. Each change is a compare-and-set on what was seen."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import OperationalError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django_q.models import OrmQ

from assistant import conf
from assistant.delivery import clock
from assistant.lifecycle import endings, suspicion
from assistant.lifecycle.endings import Failure
from assistant.lifecycle.queueing import after_ending, end_pause, promote_next
from assistant.lifecycle.session_changes import session_changed
from assistant.lifecycle.suspicion import Suspicion
from assistant.models.message import Message, MessageRole, Status
from assistant.models.session import ChatSession
from assistant.models.tool_call import ToolCall
from assistant.models.worker import WorkerProcess
from assistant.presentation import events
from assistant.processes.host_processes import boot_id, is_process
from assistant.statements import Select, Values

logger = logging.getLogger(__name__)

BATCH = 100


def recover(seen: Message, *, may_retry: bool = True) -> str | None:
    """Brings a stuck answer on: back to the queue with a fresh job, or, after too many deaths, to its end.

    `seen` is the message as its finder read it. Whether it is stuck is looked up again under the session's lock; a
    finder that was too slow changes nothing; nor does one that had to wait long for the lock, for whoever holds the answer
    may have waited as long to renew its lease. Returns "recovered", "abandoned", or None (nothing was to be done).
    """
    asked_at = time.monotonic()
    with transaction.atomic():
        session = ChatSession.objects.locked(seen.session_id)
        if session is None:
            return None
        waited = time.monotonic() - asked_at
        message = (
            session.messages.running()
            .select_for_update(of=("self",), no_key=True)
            .filter(pk=seen.pk, status=seen.status, attempt=seen.attempt, worker_id=seen.worker_id)
            .first()
        )
        if message is None or message.is_alive() or waited > conf.settings.lease / 4:
            return None
        died = _suspicion(message)
        endings.take_from_writer(message)
        outcome = _bring_on(message, died, may_retry=may_retry)
    logger.warning(
        "Answer %s of session %s %s (attempt %d, worker %s).",
        message.pk, message.session_id, outcome, seen.attempt, seen.worker_id,
    )  # fmt: skip
    return outcome


def may_try_again(message: Message) -> bool:
    """Whether a stuck answer goes back to the queue, or has seen too many workers die."""
    return _is_bearable(message, suspicion.after_death(message) if message.status == Status.PROCESSING else None)


def _suspicion(message: Message) -> Suspicion | None:
    if message.status != Status.PROCESSING:
        return None
    if message.worker_id is not None:
        suspicion.note_death(message.worker_id)
    return suspicion.after_death(message)


def _is_bearable(message: Message, died: Suspicion | None) -> bool:
    return suspicion.is_bearable((died or message).lone_deaths, message.recoveries + (died is not None))


def _bring_on(message: Message, died: Suspicion | None, *, may_retry: bool = True) -> str:
    if may_retry and _is_bearable(message, died):
        _requeue(message, died=died)
        return "recovered"
    _abandon(message)
    return "abandoned"


def _requeue(message: Message, *, died: Suspicion | None = None) -> None:
    endings.give_back(message, died=died)
    endings.close_live_text(message)


def _abandon(message: Message) -> None:
    endings.end(message, endings.failed(Failure.of("abandoned")))
    endings.close_live_text(message)
    after_ending(message.session, failed=message)


def requeue(seen: Message) -> bool:
    """Takes an answer from whoever has it and lets a worker write it again, as an operator asks. False: it had ended.

    A worker that still writes it finds its claim gone; its late writes change nothing.
    """
    return _override(seen, _requeue)


def disown(message_id: UUID, attempt: int) -> bool:
    """Puts back an answer that its living worker is not working on. False: it is another attempt's, or has ended."""
    seen = Message.objects.running().filter(pk=message_id, attempt=attempt, status=Status.PROCESSING).first()
    return seen is not None and _override(seen, _bring_on_disowned, attempt=attempt, status=Status.PROCESSING)


def _bring_on_disowned(message: Message) -> str:
    return _bring_on(message, suspicion.its_own_fault(message))


def give_up(seen: Message) -> bool:
    """Ends an answer with an error, as an operator asks; its text is kept. False: it had ended."""
    return _override(seen, _abandon)


def _override(seen: Message, change: Callable[[Message], object], **unchanged: object) -> bool:
    """Takes the answer from its writer and changes it. False: it has ended, or is no longer as `unchanged` says."""
    with transaction.atomic():
        session = ChatSession.objects.locked(seen.session_id)
        if session is None:
            return False
        running = session.messages.running().select_for_update(of=("self",), no_key=True)
        message = running.filter(pk=seen.pk, **unchanged).first()
        if message is None:
            return False
        message.session = session
        endings.take_from_writer(message)
        if message.worker is not None:
            events.stop_turn(message.worker.mailbox, message.pk, message.attempt)
        change(message)
    return True


def stuck_answers(limit: int = BATCH, after: UUID | None = None) -> list[Message]:
    """Up to `limit` unfinished answers that nothing brings on, oldest first, from those with an id above `after`.

    The database decides in one statement; each find is looked at again before it is changed (`recover`).
    """
    stuck = _stuck().order_by("id")
    return list((stuck.filter(pk__gt=after) if after else stuck)[:limit])


def count_stuck_answers() -> int:
    return _stuck().count()


def _stuck() -> QuerySet[Message]:
    asks = ToolCall.objects.asked().filter(message_id=OuterRef("pk"))
    jobless = Message.objects.running().filter(
        ~Exists(OrmQ.objects.filter(pk=OuterRef("job"))), ~(Q(is_parked=True) & Exists(asks)), status=Status.PENDING
    )
    return jobless | Message.objects.orphaned()


def all_stuck_answers() -> Iterator[Message]:
    """All of them, read in batches."""
    batch = stuck_answers()
    while batch:
        yield from batch
        batch = stuck_answers(after=batch[-1].pk)


def reason_stuck(message: Message) -> str:
    """Why an answer is thought stuck, in words for an operator."""
    if message.status == Status.PENDING:
        return "its job is not in the queue"
    worker = message.worker
    if worker is None:
        return "its worker is unknown"
    if worker.stopped_at is not None:
        return f"its worker {worker} has ended"
    silence = (clock.now() - worker.heartbeat_at).total_seconds()
    return f"its worker {worker} has not been heard for {silence:.0f} s"


def recover_or_log(message: Message) -> str | None:
    """As `recover`; what it raises is logged and makes the outcome "failed"."""
    try:
        return recover(message)
    except OperationalError:
        raise  # the database is away: not this row's fault, and the next row's turn would be no better
    except Exception:
        logger.exception("Answer %s could not be recovered; the others are not kept waiting.", message.pk)
        return "failed"


_swept_to: UUID | None = None


def _next_batch() -> list[Message]:
    """The batch after the last sweep's, or the first again: rows that fail each time hide no others."""
    global _swept_to
    batch = stuck_answers(after=_swept_to) or (stuck_answers() if _swept_to else [])
    _swept_to = batch[-1].pk if batch else None
    return batch


def sweep() -> dict[str, int]:
    """Recovers what is stuck, in a bounded batch; returns counts by outcome. One bad row never ends it."""
    outcomes: dict[str, int] = {}
    for message in _next_batch():
        if outcome := recover_or_log(message):
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
    try:
        suspicion.release()
    except Exception:
        logger.exception("Suspects could not be released; the sweep goes on.")
    for session_id in resting_sessions():
        try:
            wake_queue(session_id)
        except Exception:
            logger.exception("The queue of session %s could not be resumed; the sweep goes on.", session_id)
    return outcomes


def resting_sessions() -> list[UUID]:
    """Sessions whose questions wait for no reason: their pause is over, or nothing is running."""
    return [row["pk"] for row in _RESTING.all(now=clock.now(), latest=_latest_pause())]


def _resting(now: Any, latest: Any) -> QuerySet[ChatSession, Any]:
    waiting = Message.objects.filter(role=MessageRole.USER, status=Status.PENDING).values("session_id")
    busy = Message.objects.running().filter(session_id__in=waiting).values("session_id")
    idle = ChatSession.objects.filter(pk__in=waiting).exclude(pk__in=busy)
    over = Q(queue_paused_until=None) | Q(queue_paused_until__lte=now) | Q(queue_paused_until__gt=latest)
    return idle.filter(over).values("pk")[:BATCH]


_RESTING = Values(ChatSession, lambda p: _resting(p("now", "queue_paused_until"), p("latest", "queue_paused_until")))


def _latest_pause() -> datetime:
    """A pause that lasts longer was written before the clock was set back."""
    return clock.now() + timedelta(seconds=2 * conf.settings.queue_pause)


def wake_queue(session_id: UUID) -> None:
    with transaction.atomic():
        session = ChatSession.objects.locked(session_id)
        if session is None:
            return
        until = session.queue_paused_until
        if until is not None and not clock.now() < until <= _latest_pause():
            end_pause(session)
        if promote_next(session):
            session_changed(session)


def bury(workers: list[WorkerProcess]) -> int:
    """Notes that worker processes are known to be dead and recovers their turns at once, not waiting for the lease."""
    ids = [worker.pk for worker in workers]
    WorkerProcess.objects.filter(pk__in=ids, stopped_at=None).update(stopped_at=Now())
    recovered = 0
    for message in Message.objects.running().filter(status=Status.PROCESSING, worker_id__in=ids):
        recovered += recover_or_log(message) == "recovered"
    return recovered


_HERE = Select(WorkerProcess, lambda p: WorkerProcess.objects.filter(host=p("host"), stopped_at=None))


def bury_the_dead_here(besides: WorkerProcess | None = None) -> None:
    """Recovers at once what dead worker processes of this host held; nobody needs to wait for their leases."""
    here = _HERE.all(host=socket.gethostname())
    dead = [worker for worker in here if worker != besides and not _may_run(worker)]
    if dead and (recovered := bury(dead)):
        logger.warning("%d answers of dead worker processes on this host go on.", recovered)


def _may_run(worker: WorkerProcess) -> bool:
    """Whether a worker process of this host still runs; unsure counts as running (its lease will tell)."""
    if worker.boot_id != boot_id():
        return True  # another machine or container of the same name, or an earlier boot: its lease will tell
    return is_process(worker.pid) and worker.pid != os.getpid()


def forget_old_workers(older_than_seconds: float = 24 * 3600) -> int:
    """Deletes the rows of worker processes that ended long ago."""
    gone = WorkerProcess.objects.filter(heartbeat_at__lt=Now() - timedelta(seconds=older_than_seconds))
    return gone.exclude(pk__in=WorkerProcess.objects.alive()).delete()[0]
