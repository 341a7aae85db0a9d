"""django-q2's queue in the database, with doorbells in Valkey so that nobody has to poll fast.

The job is a row that commits with its message; the bell is only a hint. An answer's bell is heard by the workers
themselves, which claim it and take its job in one transaction; its job is held back from django-q2 for a second, which then
delivers what nobody has claimed. All other jobs have a bell of their own, which wakes django-q2's pushers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import redis.asyncio
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django_q.brokers.orm import ORM
from django_q.conf import Conf
from django_q.models import OrmQ, Schedule
from django_q.tasks import async_task

from assistant.delivery import clock, valkey
from assistant.processes import slot
from assistant.statements import insert

logger = logging.getLogger(__name__)

BELL = f"{valkey.PREFIX}:doorbell:answers"  # their ids
JOBS_BELL = f"{valkey.PREFIX}:doorbell"
SUSPECTS = "parley:suspects"  # the key of their jobs; Q_CLUSTER's name is that of all others
POLL_SECONDS = 1.0  # so long a worker waits for a ring before it looks for itself
HELD_BACK = timedelta(seconds=1)
AWAY_SECONDS = 0.5  # between tries
_BELL_LENGTH = 1000  # more rings than this ring for what workers find by themselves once they have room


class DoorbellBroker(ORM):
    """The ORM broker, woken by the bell. `enqueue` works inside the caller's transaction and rings once it commits."""

    def enqueue(self, task: Any) -> Any:
        job = _put(self.list_key, task, clock.now())
        transaction.on_commit(lambda: ring(JOBS_BELL), using=Conf.ORM)
        return job

    def timeout(self, task: Any) -> datetime:
        return clock.now() + timedelta(seconds=Conf.RETRY)

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
                ring(JOBS_BELL)  # for another one
            return None
        return self._take()

    def _take(self) -> list[tuple[int, str]] | None:
        jobs = self.get_connection()
        # None is locked for longer than RETRY: one that is was locked before the clock was set back.
        free = Q(lock__lte=Now()) | Q(lock__gt=Now() + timedelta(seconds=2 * Conf.RETRY))
        waiting = jobs.filter(free, key=self.list_key).order_by("id")
        for pk, lock, payload in waiting.values_list("pk", "lock", "payload")[:8]:
            # Conditional on the lock that was read: of several pushers one wins each job.
            if jobs.filter(pk=pk, lock=lock).update(lock=self.timeout(None)):
                return [(pk, payload)]
        return None


class _AnswersBroker(ORM):
    """Puts the jobs of answers: held back from the pushers, for the workers themselves fetch what they ring for."""

    job: int

    def enqueue(self, task: Any) -> int:
        self.job = _put(self.list_key, task, clock.now() + HELD_BACK)
        return self.job


class _SuspectsBroker(_AnswersBroker):
    """Puts those of answers that may have killed a worker where no pusher looks: a worker that is free comes for them."""

    def enqueue(self, task: Any) -> int:
        self.job = _put(SUSPECTS, task, clock.now())
        return self.job


def _put(key: str, payload: Any, free_at: datetime) -> int:
    """The job's id. django-q2 itself would write this host's time, which other hosts compare with theirs."""
    job = OrmQ(key=key, payload=payload, lock=free_at)
    insert(job)
    return int(job.pk)


def enqueue(message_id: UUID, *, is_suspect: bool = False) -> int:
    """Puts the job that delivers `message_id` to a worker; returns the job's id. Call it in the message's transaction.

    The job carries timeout -1 (none): a turn's clocks are its own, in asyncio.
    """
    broker = _SuspectsBroker() if is_suspect else _AnswersBroker()
    async_task("assistant.tasks.admit", str(message_id), broker=broker, timeout=-1, task_name=str(message_id))
    transaction.on_commit(lambda: ring(BELL, str(message_id)), using=Conf.ORM)
    return broker.job


def is_kept_for_a_free_process(job: int | None) -> bool:
    """Whether it is a suspect's. One that an earlier version handed over has a job like all others."""
    return job is not None and OrmQ.objects.filter(pk=job, key=SUSPECTS).exists()


def long_unclaimed_suspects(patience: timedelta) -> list[int]:
    """The jobs for which no worker has become free for so long."""
    return list(OrmQ.objects.filter(key=SUSPECTS, lock__lt=Now() - patience).values_list("pk", flat=True))


def deliver_as_others(jobs: list[int]) -> None:
    """Has django-q2 deliver these suspects' jobs."""
    OrmQ.objects.filter(pk__in=jobs, key=SUSPECTS).update(key=_AnswersBroker().list_key)
    transaction.on_commit(lambda: ring(JOBS_BELL), using=Conf.ORM)


def job_exists(job: int | None) -> bool:
    """Whether the job still is in the queue: waiting, or taken and not yet acknowledged (then its lock redelivers it)."""
    return job is not None and OrmQ.objects.filter(pk=job).exists()


def withdraw(job: int | None) -> None:
    """Takes a job back that nobody needs any more. Harmless if a worker has it: the claim will fail."""
    if job is not None:
        OrmQ.objects.filter(pk=job).delete()


def bring_schedules_back() -> None:
    """What is scheduled further off than its own interval was scheduled by a host whose clock is ahead: it is due now."""
    for schedule in Schedule.objects.filter(func__startswith="assistant.tasks.", schedule_type=Schedule.MINUTES):
        latest = Now() + timedelta(minutes=2 * (schedule.minutes or 0))
        Schedule.objects.filter(pk=schedule.pk, next_run__gt=latest).update(next_run=Now())


def ring(bell: str, *what: str) -> None:
    try:
        with valkey.client().pipeline(transaction=False) as pipe:
            pipe.rpush(bell, *(what or ("",)))
            pipe.ltrim(bell, -_BELL_LENGTH, -1)
            pipe.execute()
    except valkey.Unavailable as error:
        logger.warning("The doorbell did not ring (%s); the job waits for the next poll.", error)


async def rung(client: redis.asyncio.Redis, most: int) -> list[UUID]:
    """Waits for the bell; up to `most` of the answers that it rings for. [] when it has not rung for POLL_SECONDS."""
    try:
        found: Any = await client.blmpop(POLL_SECONDS, 1, BELL, direction="LEFT", count=most)
    except valkey.Unavailable:
        await asyncio.sleep(POLL_SECONDS)
        return []
    return [UUID(name.decode()) for name in found[1]] if found else []


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
        return valkey.client().blpop([JOBS_BELL], timeout=seconds) is not None
    except valkey.Unavailable:
        time.sleep(seconds)
        return False
