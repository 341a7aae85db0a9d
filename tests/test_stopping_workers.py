"""A worker process that stops: no claim slips past the hand-over, and its cluster takes no more jobs."""

from __future__ import annotations

import asyncio
import threading
from typing import Any
from uuid import UUID

import pytest

from assistant.lifecycle import answering
from assistant.models.message import Claim
from assistant.runner import Runner
from assistant.slot import Slot
from assistant.supervisor import OneWorkerCluster
from tests.threads import LONG_SECONDS


def test_a_claim_on_its_way_to_the_loop_is_waited_for_by_the_drain(
    loop: asyncio.Runner, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.ASSISTANT_GRACE = 0
    claiming, go_on = threading.Event(), threading.Event()
    claim = Claim(UUID(int=1), UUID(int=2), UUID(int=3), 1)

    def slow_claim(message_id: UUID, worker: object) -> Claim:
        claiming.set()
        assert go_on.wait(LONG_SECONDS)
        return claim

    monkeypatch.setattr(answering, "claim", slow_claim)
    runner = Runner()
    runner._ready.set_result(None)
    begun: list[Claim] = []

    def begin(claim: Claim) -> None:
        begun.append(claim)
        runner._room.release()  # the turn is handed over at once

    monkeypatch.setattr(runner, "_begin", begin)

    async def scenario() -> None:
        runner._loop = asyncio.get_running_loop()
        admitting = asyncio.create_task(asyncio.to_thread(runner.admit, claim.message_id))
        await asyncio.to_thread(claiming.wait, LONG_SECONDS)
        runner._draining.set()
        handing_over = asyncio.create_task(runner._hand_over_turns())
        await asyncio.wait({handing_over}, timeout=0.2)
        assert not handing_over.done(), "the process would end, and the claimed answer with it"
        go_on.set()
        await handing_over
        assert begun == [claim]
        assert await admitting

    loop.run(scenario())


def test_a_stopped_worker_s_pusher_takes_nothing_until_a_new_cluster_begins() -> None:
    slot = Slot(0, supervisor_pid=1)
    slot.occupy(pid=2, capacity=10)
    slot.drain()
    assert slot.is_full
    slot.clear()  # the worker is gone, its pusher lives a moment longer
    assert slot.is_full and not slot.pid
    slot.vacate()
    assert not slot.is_full
    slot.occupy(pid=3, capacity=10)
    assert not slot.is_full


def test_a_worker_that_stands_still_is_given_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    slot = Slot(0, supervisor_pid=1)
    slot.occupy(pid=2, capacity=10)
    monkeypatch.setattr("assistant.slot.STILL_SECONDS", -1.0)
    assert slot.is_full


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
