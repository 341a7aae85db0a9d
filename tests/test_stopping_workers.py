"""A worker process that stops: no claim slips past the hand-over, and its cluster takes no more jobs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError
from django_q.models import OrmQ
from django_q.tasks import async_task

from assistant.delivery import queue, valkey
from assistant.lifecycle import recovery
from assistant.presentation import broadcast, events
from assistant.processes.slot import Slot
from assistant.processes.supervisor import OneWorkerCluster
from assistant.worker import runner as runner_module
from assistant.worker.lease import Lease
from assistant.worker.runner import Runner
from tests.threads import LONG_SECONDS


def test_a_stopped_worker_s_pusher_takes_nothing_until_a_new_cluster_begins() -> None:
    slot = Slot(0, supervisor_pid=1)
    slot.occupy(os.getpid(), capacity=10)
    slot.drain()
    assert slot.is_full
    slot.clear()  # the worker is gone, its pusher lives a moment longer
    assert slot.is_full and not slot.pid
    slot.vacate()
    assert not slot.is_full
    slot.occupy(os.getpid(), capacity=10)
    assert not slot.is_full


def test_a_worker_that_stands_still_is_given_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    slot = Slot(0, supervisor_pid=1)
    slot.occupy(os.getpid(), capacity=10)
    monkeypatch.setattr("assistant.processes.slot.STILL_SECONDS", -1.0)
    assert slot.is_full


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("what", ["dead", "replaced by its sentinel"])
def test_a_cluster_whose_worker_died_takes_no_job_and_passes_the_bell_on(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it took would wait in a queue whose lock may have died with the worker."""
    slot = Slot(0, supervisor_pid=1)
    slot.occupy(os.getpid(), capacity=10)
    monkeypatch.setattr("assistant.processes.slot.current", slot)
    broker = queue.DoorbellBroker()

    def dies(seconds: float) -> bool:
        """In the wait for the bell, which rings because of it."""
        slot.occupy(2**22 + 1 if what == "dead" else os.getppid(), capacity=10)
        async_task("math.floor", 1.5)
        return bool(valkey.client().blpop([queue.JOBS_BELL], timeout=LONG_SECONDS))

    valkey.client().delete(queue.JOBS_BELL)
    monkeypatch.setattr(queue, "_wait_for_ring", dies)
    assert broker.dequeue() is None
    assert valkey.client().llen(queue.JOBS_BELL) == 1, "another one is to hear it"
    assert broker.dequeue() is None and OrmQ.objects.count() == 1, "it does not even wait any more"
    slot.vacate()
    slot.occupy(os.getpid(), capacity=10)
    taken = broker.dequeue()
    assert taken and taken[0][0] == OrmQ.objects.get().pk


def test_a_cluster_whose_worker_has_ended_is_not_waited_for() -> None:
    """Its pusher may hang over a job that nobody takes from it any more."""

    class LivingSentinel:
        def is_alive(self) -> bool:
            return True

    cluster = OneWorkerCluster(0)
    cluster._sentinel = LivingSentinel()  # type: ignore[assignment]
    assert not cluster.is_stopped
    cluster._worker_pid = 2**22 + 1  # no process has it: Linux's largest pid is 2**22
    assert cluster.is_stopped


@pytest.mark.django_db(transaction=True)
def test_what_a_worker_has_to_tell_is_told_before_it_ends(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """The loop takes along what it has not sent: the last frames of a hand-over, or of an ending."""
    settings.ASSISTANT_GRACE = 0
    sent, may_send = [], threading.Event()

    async def publish(group: str, event: dict[str, Any]) -> None:
        while not may_send.is_set():
            await asyncio.sleep(0.005)
        sent.append(event["type"])

    def unregister() -> None:
        """The last thing it does with the database; what it tells comes late."""
        events.share_ended(uuid4())
        threading.Timer(0.2, may_send.set).start()

    monkeypatch.setattr(broadcast, "_publish", publish)
    monkeypatch.setattr(Lease, "unregister", lambda lease: unregister())
    runner = Runner()
    runner.start()
    runner.drain()
    runner.join()
    assert sent == ["share.ended"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("away", [0, 2])
def test_a_worker_that_starts_into_an_outage_of_the_database_judges_nobody_at_once(
    away: int, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """The others could not renew their leases either; while they do, theirs look like those of the dead."""
    settings.ASSISTANT_GRACE = 0
    monkeypatch.setattr("assistant.worker.sweeping.SWEEP_SECONDS", 0.01)
    tries, swept, beats = [], threading.Event(), threading.Semaphore(0)
    register, renew = Lease.register, Lease.renew

    def coming_back(lease: Lease) -> None:
        tries.append(True)
        if len(tries) <= away:
            raise OperationalError("away")
        register(lease)

    def counted(lease: Lease, load: int) -> bool:
        beats.release()
        return renew(lease, load)

    settings.ASSISTANT_HEARTBEAT = 0.05
    monkeypatch.setattr(Lease, "register", coming_back)
    monkeypatch.setattr(Lease, "renew", counted)
    monkeypatch.setattr(recovery, "sweep", swept.set)
    runner = Runner()
    runner.start()
    try:
        if away:
            for _ in range(10):
                assert beats.acquire(timeout=LONG_SECONDS)
            assert not swept.is_set()
        else:
            assert swept.wait(LONG_SECONDS)
    finally:
        runner.drain()
        runner.join()


def test_a_side_task_whose_cancellation_was_swallowed_is_asked_again(
    loop: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the process would not end by itself, and its last seconds would be the supervisor's patience."""
    monkeypatch.setattr(runner_module, "CANCEL_SECONDS", 0.01)

    async def swallows() -> None:
        for _ in range(2):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)
        await asyncio.sleep(3600)

    async def scenario() -> None:
        task = asyncio.create_task(swallows())
        await asyncio.sleep(0)
        await asyncio.wait_for(runner_module.cancelled([task]), LONG_SECONDS)
        assert task.cancelled()

    loop.run(scenario())
