"""A worker fetches its turns: what the bell rings for, what waits, and no more than it has room for."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from django_q.models import OrmQ

from assistant.database import Database
from assistant.delivery import queue, valkey
from assistant.lifecycle import claiming, suspicion
from assistant.models.message import Claim, Message
from assistant.worker import intake
from assistant.worker.draining import Draining
from assistant.worker.held_turns import HeldTurns
from assistant.worker.intake import Intake
from assistant.worker.runner import Runner
from tests.acting import a_room, a_worker, answer_of, ask, now
from tests.threads import LONG_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)


class Desk:
    """An intake, and the turns that it has begun."""

    def __init__(self, worker: Any, client: Any, database: Database, concurrency: int = 100) -> None:
        self.begun: list[Claim] = []
        self.turns = HeldTurns(concurrency)
        self.intake = Intake(worker, self.turns, database, client, self.begin)

    def begin(self, claim: Claim) -> None:
        self.begun.append(claim)
        self.turns.add(claim, object())  # type: ignore[arg-type]

    def answers(self) -> list[UUID]:
        return [claim.message_id for claim in self.begun]


@pytest.fixture
def at_desk(loop: asyncio.Runner, worker: Any) -> Callable[..., None]:
    """Runs `scenario(desk)` with an intake of this worker."""

    def run(scenario: Callable[[Desk], Awaitable[None]], **options: Any) -> None:
        async def within() -> None:
            client, database = valkey.async_client(), Database("test")
            try:
                await asyncio.wait_for(scenario(Desk(worker, client, database, **options)), LONG_SECONDS)
            finally:
                await client.aclose()
                database.close(wait=True)

        valkey.client().delete(queue.BELL)
        loop.run(within())

    return run


@pytest.fixture
def asked(alice: Any) -> Callable[[int], list[Any]]:
    return lambda count: [answer_of(ask(a_room(alice), alice)) for _ in range(count)]


def suspected(answer: Any) -> None:
    """It may have killed its worker, and its job waits for a process that holds nothing."""
    Message.objects.filter(pk=answer.pk).update(company=1, attempt=1)
    OrmQ.objects.filter(pk=now(answer).job).update(key=queue.SUSPECTS)


def slowed(monkeypatch: pytest.MonkeyPatch, name: str) -> tuple[threading.Event, threading.Event]:
    """A verb of `claiming` that begins, says so, and waits to be let go on."""
    has_begun, go_on = threading.Event(), threading.Event()
    real = getattr(claiming, name)

    def slow(*args: Any) -> list[Claim]:
        has_begun.set()
        assert go_on.wait(LONG_SECONDS)
        found: list[Claim] = real(*args)
        return found

    monkeypatch.setattr(claiming, name, slow)
    return has_begun, go_on


async def in_a_thread(work: Callable[..., Any], *args: Any) -> Any:
    database = Database("asking")
    try:
        return await database.call_once(work, *args)
    finally:
        database.close(wait=True)


def test_what_waits_when_a_worker_starts_is_claimed_at_once_and_its_jobs_are_gone(at_desk, asked):
    answers = asked(3)

    async def scenario(desk: Desk) -> None:
        await desk.intake.fetch()
        assert desk.answers() == [answer.pk for answer in answers]

    at_desk(scenario)
    assert not OrmQ.objects.exists() and all(now(answer).is_alive() for answer in answers)


def test_a_ring_brings_its_answer_without_a_look_at_what_waits(at_desk, asked, monkeypatch):
    looked = []
    real = claiming.waiting_and_suspects
    monkeypatch.setattr(claiming, "waiting_and_suspects", lambda: looked.append(True) or real())
    monkeypatch.setattr(intake, "LOOK_SECONDS", LONG_SECONDS)

    async def scenario(desk: Desk) -> None:
        await desk.intake.fetch()
        fetching = asyncio.create_task(desk.intake.fetch())
        [answer] = await in_a_thread(asked, 1)
        await fetching
        while not desk.begun:  # the first wait may have ended before the question was there
            await desk.intake.fetch()
        assert desk.answers() == [answer.pk]

    monkeypatch.setattr(queue, "POLL_SECONDS", LONG_SECONDS / 20)
    at_desk(scenario)
    assert len(looked) <= 2


def test_however_much_the_bell_rings_suspects_are_looked_for(at_desk, asked, monkeypatch):
    monkeypatch.setattr(intake, "LOOK_SECONDS", 0.0)

    async def scenario(desk: Desk) -> None:
        await desk.intake.fetch()
        suspect = (await in_a_thread(asked, 3))[0]
        await in_a_thread(suspected, suspect)
        await desk.intake.fetch()
        assert desk.answers() == [suspect.pk] and desk.turns.room == 0
        assert await desk.intake._client.llen(queue.BELL) == 3

    at_desk(scenario)


def test_while_suspects_are_fetched_nothing_else_is_admitted(at_desk, asked, monkeypatch):
    suspect, other = asked(2)
    suspected(suspect)
    has_begun, go_on = slowed(monkeypatch, "claim_suspects")

    async def scenario(desk: Desk) -> None:
        fetching = asyncio.create_task(desk.intake.fetch())
        await asyncio.to_thread(has_begun.wait, LONG_SECONDS)
        admitting = asyncio.create_task(desk.intake.admit(other.pk))
        await asyncio.sleep(0.05)
        go_on.set()
        await fetching
        await asyncio.wait({admitting}, timeout=0.2)
        assert desk.answers() == [suspect.pk] and not admitting.done()
        desk.turns.remove(desk.begun[0])
        assert await admitting and desk.answers() == [suspect.pk, other.pk]

    at_desk(scenario)


def test_a_busy_process_takes_nothing_fresh_until_it_has_tried_suspects_that_waited_long(at_desk, asked, monkeypatch):
    monkeypatch.setattr(intake, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(suspicion, "is_to_empty_itself", lambda worker: True)

    async def scenario(desk: Desk) -> None:
        [held] = await in_a_thread(asked, 1)
        await desk.intake.fetch()
        suspect, fresh = await in_a_thread(asked, 2)
        await in_a_thread(suspected, suspect)
        await desk.intake.fetch()
        admitting = asyncio.create_task(desk.intake.admit(fresh.pk))
        await desk.intake.fetch()
        assert desk.answers() == [held.pk] and (desk.turns.room, desk.turns.load) == (0, 100)
        desk.turns.remove(desk.begun[0])
        while len(desk.begun) < 2:
            await desk.intake.fetch()
        assert desk.answers() == [held.pk, suspect.pk] and not admitting.done()
        desk.turns.remove(desk.begun[1])
        assert await admitting and desk.answers() == [held.pk, suspect.pk, fresh.pk]

    at_desk(scenario)


def test_a_process_that_was_emptying_itself_goes_on_once_others_try_the_suspects(at_desk, asked, monkeypatch):
    monkeypatch.setattr(intake, "LOOK_SECONDS", 0.0)
    is_its_turn = [True]
    monkeypatch.setattr(suspicion, "is_to_empty_itself", lambda worker: is_its_turn[0])

    async def scenario(desk: Desk) -> None:
        [held] = await in_a_thread(asked, 1)
        await desk.intake.fetch()
        suspect, fresh = await in_a_thread(asked, 2)
        await in_a_thread(suspected, suspect)
        await desk.intake.fetch()
        admitting = asyncio.create_task(desk.intake.admit(fresh.pk))
        await asyncio.sleep(0.05)
        assert not admitting.done()
        assert await in_a_thread(claiming.claim, fresh.pk, await in_a_thread(a_worker))
        is_its_turn[0] = False
        await desk.intake.fetch()
        assert not await admitting, "it was another's, and nobody has to wait for room any more"
        assert desk.answers() == [held.pk] and desk.turns.room == 99

    at_desk(scenario)


def test_a_ring_that_was_lost_costs_one_look(at_desk, asked, monkeypatch):
    monkeypatch.setattr(queue, "POLL_SECONDS", 0.01)

    async def scenario(desk: Desk) -> None:
        await desk.intake.fetch()
        [answer] = await in_a_thread(asked, 1)
        await desk.intake._client.delete(queue.BELL)
        await desk.intake.fetch()
        assert desk.answers() == [answer.pk]

    at_desk(scenario)


def test_a_worker_without_valkey_looks_for_itself(at_desk, asked, monkeypatch, settings):
    monkeypatch.setattr(queue, "POLL_SECONDS", 0.01)

    async def scenario(desk: Desk) -> None:
        await desk.intake.fetch()
        settings.REDIS_URL = "unix:///nowhere/at.all"
        await desk.intake._client.aclose()
        desk.intake._client = valkey.async_client()
        [answer] = await in_a_thread(asked, 1)
        await desk.intake.fetch()
        assert desk.answers() == [answer.pk]
        await desk.intake._client.aclose()

    at_desk(scenario)


def test_a_worker_takes_no_more_than_it_has_room_for_and_the_rest_as_soon_as_it_has(at_desk, asked):
    answers = asked(3)

    async def scenario(desk: Desk) -> None:
        await desk.intake.fetch()
        assert desk.answers() == [answers[0].pk, answers[1].pk]
        fetching = asyncio.create_task(desk.intake.fetch())
        await asyncio.sleep(0.05)
        assert not fetching.done() and await in_a_thread(claiming.waiting) == [answers[2].pk]
        desk.turns.remove(desk.begun[0])
        await fetching
        assert desk.answers()[-1] == answers[2].pk

    at_desk(scenario, concurrency=2)


def test_a_long_queue_is_worked_off_without_rings(at_desk, asked):
    answers = asked(claiming.BATCH + 2)

    async def scenario(desk: Desk) -> None:
        await desk.intake.fetch()
        await desk.intake.fetch()
        assert desk.answers() == [answer.pk for answer in answers]

    at_desk(scenario)


def test_a_claim_on_its_way_is_waited_for_by_the_drain(at_desk, asked, monkeypatch, settings):
    settings.ASSISTANT_GRACE = 0
    asked(1)
    has_begun, go_on = slowed(monkeypatch, "claim_any")

    async def scenario(desk: Desk) -> None:
        fetching = asyncio.create_task(desk.intake.fetch())
        await asyncio.to_thread(has_begun.wait, LONG_SECONDS)
        desk.intake.close()
        handing_over = asyncio.create_task(Draining(Held(desk)).hand_over())  # type: ignore[arg-type]
        await asyncio.wait({handing_over}, timeout=0.2)
        assert not handing_over.done(), "the process would end, and the claimed answer with it"
        go_on.set()
        await asyncio.gather(handing_over, fetching)
        assert len(desk.begun) == 1

    class Held:
        """The desk's turns, which are handed over at once."""

        def __init__(self, desk: Desk) -> None:
            self._desk = desk

        @property
        def is_empty(self) -> bool:
            for claim in self._desk.begun:
                if claim in self._desk.turns:
                    self._desk.turns.remove(claim)
            return self._desk.turns.is_empty

        def stop_all(self, why: object) -> None:
            pass

    at_desk(scenario)


def test_a_worker_that_is_stopping_claims_nothing_and_passes_the_ring_on(at_desk, asked):
    async def scenario(desk: Desk) -> None:
        await desk.intake.fetch()
        fetching = asyncio.create_task(desk.intake.fetch())
        await asyncio.sleep(0.05)  # it waits at the bell
        desk.intake.close()
        [answer] = await in_a_thread(asked, 1)
        await fetching
        assert await desk.intake.admit(answer.pk) is False
        assert not desk.begun and await desk.intake._client.lrange(queue.BELL, 0, -1) == [str(answer.pk).encode()]

    at_desk(scenario)


def test_what_django_q2_delivers_waits_for_room_and_is_claimed_once(at_desk, asked):
    first, second = asked(2)

    async def scenario(desk: Desk) -> None:
        assert await desk.intake.admit(first.pk)
        waiting = asyncio.create_task(desk.intake.admit(second.pk))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        desk.turns.remove(desk.begun[0])
        assert await waiting and desk.answers() == [first.pk, second.pk]
        desk.turns.remove(desk.begun[1])
        assert await desk.intake.admit(second.pk) is False

    at_desk(scenario, concurrency=1)


def test_a_turn_that_can_t_be_begun_takes_up_no_room_and_harms_no_other(at_desk, asked, caplog):
    """A worker that never gets it back is full too early, and never done with stopping."""
    answers = asked(2)

    async def scenario(desk: Desk) -> None:
        begin = desk.begin

        def broken(claim: Claim) -> None:
            if claim.message_id == answers[0].pk:
                raise ValueError("a bug")
            begin(claim)

        desk.intake._begin = broken
        await desk.intake.fetch()
        assert desk.answers() == [answers[1].pk] and desk.turns.room == 99

    with caplog.at_level(logging.ERROR):
        at_desk(scenario)
    assert "could not be begun" in caplog.text and "a bug" in caplog.text


def test_a_job_that_comes_to_a_worker_that_is_stopping_is_left_to_others(monkeypatch):
    runner = Runner()
    runner.start()
    runner.drain()
    runner.join()
    assert runner.admit(UUID(int=1)) is False
