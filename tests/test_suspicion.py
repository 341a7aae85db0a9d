"""A worker dies: only the answer that has killed it is given up, and no other is kept from its end."""

import asyncio
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django_q.models import OrmQ

from assistant.database import Database
from assistant.delivery import queue
from assistant.lifecycle import answering, claiming, recovery, suspicion
from assistant.lifecycle.answering import Written
from assistant.models import Message, ToolCall, WorkerProcess
from assistant.models.message import Status, max_recoveries
from assistant.worker.held_turns import HeldTurns
from assistant.worker.intake import Intake
from tests.acting import a_room, a_worker, answer_of, ask, claimed, finish, kill, now

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def answers(alice):
    """Some, each in a session of its own."""
    return lambda count: [answer_of(ask(a_room(alice), alice)) for _ in range(count)]


def call(answer):
    """It is in the midst of a call."""
    ToolCall.objects.update_or_create(
        message=answer, round=1, place=0, defaults={"name": "exit", "arguments": "{}", "at": 0, "status": "running"}
    )


def die(held, *, calling=()):
    """A worker held these and no others, and is found dead."""
    worker = a_worker()
    queue.deliver_as_others([now(answer).job for answer in held])  # or suspects could not be claimed beside others
    for answer in held:
        assert claiming.claim(answer.pk, worker)
    for answer in calling:
        call(answer)
    kill(worker)
    while recovery.sweep():
        pass
    return worker


def suspects(among):
    return {answer.pk: now(answer).company for answer in among if now(answer).company is not None}


def test_a_death_in_company_is_counted_against_nobody(answers):
    held = answers(5)
    for _ in range(2 * max_recoveries() + 2):
        die(held)
    for answer in held:
        assert (now(answer).status, now(answer).lone_deaths) == ("pending", 0)


def test_what_dies_alone_so_often_is_given_up(answers):
    [culprit] = answers(1)
    for deaths in range(1, max_recoveries() + 1):
        die([culprit])
        assert (now(culprit).status, now(culprit).lone_deaths) == ("pending", deaths)
    die([culprit])
    assert (now(culprit).status, now(culprit).error_code) == ("error", "abandoned")


def test_very_many_deaths_end_an_answer_in_whatever_company(answers):
    """Where no process ever becomes free it is released again and again, and would kill for ever."""
    [culprit] = answers(1)
    for deaths in range(1, suspicion.TOO_MANY * (max_recoveries() + 1)):
        OrmQ.objects.filter(key=queue.SUSPECTS).update(lock=Now() - suspicion.LAST_RESORT - timedelta(seconds=1))
        suspicion.release()
        [innocent] = answers(1)
        die([culprit, innocent], calling=[culprit])
        assert (now(culprit).status, now(culprit).recoveries) == ("pending", deaths)
    die([culprit, innocent], calling=[culprit])
    assert (now(culprit).status, now(culprit).error_code) == ("error", "abandoned")
    assert now(innocent).status == "pending"


def test_after_one_death_all_go_on_at_once(answers):
    held = answers(4)
    die(held, calling=held[:1])
    assert not suspects(held)
    assert set(claiming.waiting()) == {answer.pk for answer in held}


def test_who_calls_a_tool_is_suspected_before_those_who_only_write(answers):
    held = answers(6)
    for _ in range(2):
        die(held, calling=held[:1])
    assert suspects(held) == {held[0].pk: 1}
    assert claiming.waiting_and_suspects() == ([answer.pk for answer in held[1:]], [held[0].pk])


def test_suspects_are_tried_by_halves_until_one_is_alone(answers, worker):
    held = answers(8)
    for _ in range(max_recoveries() + 1):
        die(held)
    for company in (4, 2, 1):
        assert set(suspects(held).values()) == {company}
        fresh, waiting = claiming.waiting_and_suspects()
        assert not fresh and len(waiting) == 8
        tried = claiming.claim_suspects(waiting, worker)
        assert len(tried) == company and all(claim.is_suspect for claim in tried)
        kill(worker)
        recovery.sweep()
        worker.delete()
        worker.save(force_insert=True)
        others = [answer for answer in held if answer.pk not in {claim.message_id for claim in tried}]
        die(others[:company])  # in their turn
        if company > 1:
            die(others[company : 2 * company])
            die(others[2 * company :]) if company < 3 else None


def test_the_most_suspected_are_tried_first_and_by_one_process_at_a_time(answers, worker):
    held = answers(3)
    for answer, company in zip(held, (3, 1, 3), strict=True):
        for _ in range(max_recoveries() + 1):
            die([answer, *answers(1)])
        Message.objects.filter(pk=answer.pk).update(company=company)
    waiting = claiming.waiting_and_suspects()[1]
    assert waiting[0] == held[1].pk
    [claim] = claiming.claim_suspects(waiting, worker)
    assert claim.message_id == held[1].pk
    other = a_worker("other")
    assert claiming.claim_suspects(waiting, other) == []
    assert finish(claim)
    assert len(claiming.claim_suspects(waiting, other)) == 2


def test_the_bell_gives_no_suspect_to_a_process_that_holds_others(answers, worker):
    suspect, other = answers(2)
    for _ in range(2):
        die([suspect, other], calling=[suspect])
    [claim] = claiming.claim_any([suspect.pk, other.pk], worker)
    assert claim.message_id == other.pk and now(suspect).status == Status.PENDING
    assert now(suspect).is_alive(), "its job waits where no pusher takes it"
    OrmQ.objects.update(lock=Now())
    assert queue.DoorbellBroker()._take() is None


def test_a_job_of_before_brings_no_suspect_to_a_process_that_holds_others(answers, worker):
    suspect, other = answers(2)
    for _ in range(2):
        die([suspect, other], calling=[suspect])
    claimed(other, worker)
    assert claiming.claim(suspect.pk, worker) is None and now(suspect).is_alive()
    assert claiming.claim_suspects([suspect.pk], a_worker("free"))


def test_a_suspect_that_an_earlier_version_handed_over_is_claimed_by_its_job(answers, worker):
    [suspect] = answers(1)
    Message.objects.filter(pk=suspect.pk).update(company=1)
    assert claiming.claim(suspect.pk, worker)


def test_however_many_suspects_wait_they_hide_nothing_nor_are_they_hidden(answers):
    many, fresh = answers(2 * claiming.BATCH + 1), answers(claiming.BATCH + 1)
    Message.objects.filter(pk__in=[answer.pk for answer in many]).update(company=5)
    waiting, suspected = claiming.waiting_and_suspects()
    assert waiting == [answer.pk for answer in fresh][: claiming.BATCH]
    assert suspected == [answer.pk for answer in many][: claiming.BATCH]


def test_a_process_that_tries_suspects_takes_nothing_else(answers, worker):
    turns = HeldTurns(10)
    [answer] = answers(1)
    for _ in range(2):
        die([answer], calling=[answer])
    [claim] = claiming.claim_suspects([answer.pk], worker)
    assert turns.room == 10
    turns.add(claim, None)
    assert (turns.room, turns.load) == (0, 10)
    turns.remove(claim)
    assert (turns.room, turns.load) == (10, 0)


def test_a_free_process_tries_suspects_and_a_busy_one_goes_on_with_the_others(answers, worker):
    suspect, other = answers(2)
    for _ in range(2):
        die([suspect, other], calling=[suspect])

    async def fetched(turns):
        began, database = [], Database("test", threads=1)
        await Intake(worker, turns, database, None, began.append).fetch()
        database.close(wait=True)
        return [claim.message_id for claim in began]

    busy, free = HeldTurns(10), HeldTurns(10)
    busy.add(claimed(answers(1)[0], worker), None)
    assert asyncio.run(fetched(busy)) == [other.pk]
    assert asyncio.run(fetched(free)) == [suspect.pk]


def test_a_suspect_that_comes_to_a_fresh_job_is_one_no_more(answers, worker):
    [answer] = answers(1)
    for _ in range(2):
        die([answer], calling=[answer])
    [claim] = claiming.claim_suspects([answer.pk], worker)
    assert answering.hand_over(claim, Written("", 0)) and suspects([answer]), "it may still be the one"
    [claim] = claiming.claim_suspects([answer.pk], worker)
    assert answering.let_go(claim, Written("", 0), goes_on=True) and not suspects([answer])


def test_of_the_processes_the_first_empties_itself_for_suspects_that_have_waited_long(answers, worker):
    [suspect] = answers(1)
    for _ in range(2):
        die([suspect], calling=[suspect])
    other = a_worker("other")

    def who():
        return [one for one in (worker, other) if suspicion.is_to_empty_itself(one)]

    assert who() == [], "one may become free by itself"
    OrmQ.objects.update(lock=Now() - suspicion.PATIENCE - timedelta(seconds=1))
    assert who() == [worker]
    kill(worker)
    assert who() == [other]
    Message.objects.filter(pk=answers(1)[0].pk).update(status=Status.PROCESSING, worker=worker, company=1, job=None)
    assert who() == [], "some are being tried"


def test_where_no_process_becomes_free_at_all_a_suspect_runs_beside_others_at_last(answers):
    [answer] = answers(1)
    for _ in range(2):
        die([answer], calling=[answer])
    suspicion.release()
    assert suspects([answer])
    OrmQ.objects.update(lock=Now() - suspicion.LAST_RESORT - timedelta(seconds=1))
    suspicion.release()
    assert not suspects([answer]) and claiming.waiting() == [answer.pk]
    assert queue.DoorbellBroker()._take()


def test_what_a_worker_held_is_noted_once_and_forgotten_if_it_lives(answers):
    held = answers(3)
    worker = die(held, calling=held[:2])
    noted = WorkerProcess.objects.get(pk=worker.pk)
    assert (noted.died_holding, noted.died_calling) == (3, 2)
    assert all(now(answer).recoveries == 1 for answer in held)


def test_what_a_worker_held_is_counted_for_the_first_of_its_answers_alone(answers):
    held, worker = answers(3), a_worker()
    for answer in held:
        claimed(answer, worker)
    kill(worker)
    counted = []
    for answer in held:
        with CaptureQueriesContext(connection) as asked:
            recovery.recover(now(answer))
        counted.append(sum("COUNT(" in query["sql"] for query in asked.captured_queries))
    assert counted == [2, 0, 0]


def test_a_release_that_fails_ends_no_sweep(alice, monkeypatch, caplog):
    def broken():
        raise ValueError("a bug")

    room = a_room(alice)
    first, second = ask(room, alice), ask(room, alice)
    Message.objects.filter(pk=answer_of(first).pk).update(status=Status.ERROR, job=None)
    monkeypatch.setattr(suspicion, "release", broken)
    recovery.sweep()
    assert now(second.message).status == Status.SUCCESS and "a bug" in caplog.text


def test_to_look_what_is_stuck_changes_nothing(answers, worker):
    [answer] = answers(1)
    claimed(answer, worker)
    kill(worker)
    assert recovery.may_try_again(now(answer))
    assert WorkerProcess.objects.get(pk=worker.pk).died_holding is None
