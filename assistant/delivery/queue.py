"""django-q2's queue in the database, with a doorbell in Valkey so that nobody has to poll fast.

The job is a row that commits with its message; the bell is only a hint. A lost ring costs one slow poll, nothing else.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone
from django_q.brokers.orm import ORM
from django_q.conf import Conf
from django_q.models import OrmQ
from django_q.tasks import async_task

from assistant.delivery import valkey
from assistant.processes import slot

logger = logging.getLogger(__name__)

BELL = f"{valkey.PREFIX}:doorbell"
AWAY_SECONDS = 0.5  # between tries
_BELL_LENGTH = 64  # more rings than this wake nobody who would not wake anyway


class DoorbellBroker(ORM):
    """The ORM broker, woken by the bell. `enqueue` works inside the caller's transaction and rings once it commits."""

    last_enqueued: int

    def enqueue(self, task: Any) -> int:
        self.last_enqueued = super().enqueue(task)
        transaction.on_commit(ring, using=Conf.ORM)
        return self.last_enqueued

    def dequeue(self) -> list[tuple[int, str]] | None:
        """At most one job, waiting for the bell or a slow poll. None: nothing yet, the pusher calls again."""
        if slot.is_full():
            time.sleep(0.02)  # another worker process may have room: leave the job where it can take it
            return None
        return _while_away(self._wait_and_take)

    def acknowledge(self, task_id: int) -> Any:
        return _while_away(lambda: super(DoorbellBroker, self).acknowledge(task_id))

    def _wait_and_take(self) -> list[tuple[int, str]] | None:
        if taken := self._take():
            return taken
        has_rung = _wait_for_ring(Conf.POLL)
        if slot.is_full():  # while this one waited, its worker filled up or died
            if has_rung:
                ring()  # for another one
            return None
        return self._take()

    def _take(self) -> list[tuple[int, str]] | None:
        jobs = self.get_connection()
        waiting = jobs.filter(key=self.list_key, lock__lte=timezone.now()).order_by("id")
        for pk, lock, payload in waiting.values_list("pk", "lock", "payload")[:8]:
            # Conditional on the lock that was read: of several pushers one wins each job.
            if jobs.filter(pk=pk, lock=lock).update(lock=self.timeout(None)):
                if slot.current:
                    slot.current.took(pk)
                return [(pk, payload)]
        return None


def enqueue(message_id: UUID) -> int:
    """Puts the job that delivers `message_id` to a worker; returns the job's id. Call it in the message's transaction.

    The job carries timeout -1 (none): a turn's clocks are its own, in asyncio.
    """
    broker = DoorbellBroker()
    async_task("assistant.tasks.admit", str(message_id), broker=broker, timeout=-1, task_name=str(message_id))
    return broker.last_enqueued


def job_exists(job: int | None) -> bool:
    """Whether the job still is in the queue: waiting, or taken and not yet acknowledged (then its lock redelivers it)."""
    return job is not None and OrmQ.objects.filter(pk=job).exists()


def withdraw(job: int | None) -> None:
    """Takes a job back that nobody needs any more. Harmless if a worker has it: the claim will fail."""
    if job is not None:
        OrmQ.objects.filter(pk=job).delete()


def free(jobs: list[int]) -> int:
    """Delivers jobs again at once that were taken and not acknowledged; returns how many. The claim makes it harmless."""
    freed = OrmQ.objects.filter(pk__in=jobs, lock__gt=timezone.now()).update(lock=timezone.now())
    if freed:
        ring()
    return freed


def ring() -> None:
    try:
        with valkey.client().pipeline(transaction=False) as pipe:
            pipe.lpush(BELL, 1)
            pipe.ltrim(BELL, 0, _BELL_LENGTH - 1)
            pipe.execute()
    except valkey.Unavailable as error:
        logger.warning("The doorbell did not ring (%s); the job waits for the next poll.", error)


def _while_away(work: Callable[[], Any]) -> Any:
    """What `work` returns, tried again as long as the database is away.

    django-q2's pusher would sit out ten seconds and end, its monitor would die at once, both with a traceback.
    """
    is_told = False
    while True:
        try:
            return work()
        except (OperationalError, InterfaceError) as error:
            if not is_told:
                logger.warning("The queue waits for the database: %s", str(error).strip())
            is_told = True
            time.sleep(AWAY_SECONDS)


def _wait_for_ring(seconds: float) -> bool:
    """Whether it rang within that time."""
    try:
        return valkey.client().blpop([BELL], timeout=seconds) is not None
    except valkey.Unavailable:
        time.sleep(seconds)
        return False
