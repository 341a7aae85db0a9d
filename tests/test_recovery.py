"""What is dead goes on by itself; what lives is never touched, however old it is."""

import functools
import time
from datetime import timedelta

import pytest
from django.db import InterfaceError, OperationalError
from django.db.models.functions import Now
from django.utils import timezone
from django_q.models import OrmQ

from assistant.delivery import queue
from assistant.lifecycle import answering, asking, claiming, endings, recovery, session_changes
from assistant.lifecycle.answering import Written
from assistant.lifecycle.joining import snapshot
from assistant.models import ChatSession, Message, WorkerProcess
from assistant.models.message import Status
from tests.acting import (
    a_worker,
    answer_of,
    ask,
    claimed,
    finish,
    jobs,
    kill,
    lose_job,
    now,
    queued,
    revive,
    running,
    write,
)
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def rooms(alice, count):
    return [ChatSession.objects.create(title=f"Room {n}") for n in range(count)]


def stored(message):
    return Message.objects.filter(pk=message.pk).values().get()


# --- what is stuck ---


def test_an_answer_whose_worker_is_silent_longer_than_its_lease_goes_back_to_the_queue(answer, claim, worker):
    kill(worker)
    assert not now(answer).is_alive() and recovery.sweep() == {"recovered": 1}
    waiting = now(answer)
    assert (waiting.status, waiting.worker, waiting.recoveries, waiting.attempt) == ("pending", None, 1, 1)
    assert waiting.is_alive() and jobs()[-1] == str(answer.pk)


def test_an_interruption_is_told_where_text_was_shown_and_only_there(answer, claim, worker, frames):
    kill(worker)
    recovery.sweep()
    assert frames[-1]["message"]["interruptions"] == 0, "nobody saw anything begin anew"
    revive(worker)
    write(claimed(answer, worker), "As far", 1)
    kill(worker)
    recovery.sweep()
    assert frames[-1]["message"]["interruptions"] == 1
    revive(worker)
    answering.hand_over(claimed(answer, worker), Written("As far as", 2))
    assert frames[-1]["message"]["interruptions"] == 2
    answering.hand_over(claimed(answer, worker), Written("", 0))
    assert frames[-1]["message"]["interruptions"] == 2


def test_an_answer_whose_worker_has_stopped_in_order_is_stuck_at_once(answer, claim, worker):
    WorkerProcess.objects.filter(pk=worker.pk).update(stopped_at=Now())
    assert recovery.sweep() == {"recovered": 1}


def test_an_answer_whose_worker_s_row_is_gone_is_stuck(answer, claim, worker):
    """Race 4: no record of a dead node shields its message."""
    worker.delete()
    assert now(answer).worker is None and recovery.sweep() == {"recovered": 1}


def test_a_waiting_answer_without_a_job_gets_a_fresh_one(answer):
    lose_job(answer)
    assert not now(answer).is_alive() and recovery.sweep() == {"recovered": 1}
    assert now(answer).is_alive() and jobs() == [str(answer.pk)] and now(answer).recoveries == 0


def test_the_text_so_far_is_kept_and_shown_while_it_waits(answer, claim, worker):
    answering.checkpoint({claim: Written("As", 1)})
    write(claim, "As far as", 2)
    kill(worker)
    recovery.sweep()
    assert (now(answer).content, now(answer).seq, now(answer).salvage) == ("As far as", 2, "")


def test_the_reason_is_told_in_words(answer, worker):
    lose_job(answer)
    assert recovery.reason_stuck(now(answer)) == "its job is not in the queue"
    claimed(answer, worker)
    kill(worker)
    assert "has not been heard for 36" in recovery.reason_stuck(now(answer))
    WorkerProcess.objects.update(stopped_at=Now())
    assert "has ended" in recovery.reason_stuck(now(answer))
    WorkerProcess.objects.all().delete()
    assert recovery.reason_stuck(now(answer)) == "its worker is unknown"


# --- what is not ---


def test_a_living_answer_is_never_taken_however_old(answer, claim):
    """Race 25: only its worker's heartbeat counts."""
    long_ago = timezone.now() - timedelta(days=30)
    Message.objects.filter(pk=answer.pk).update(created_at=long_ago, started_at=long_ago, last_piece_at=long_ago)
    WorkerProcess.objects.update(started_at=long_ago)
    before = stored(answer)
    assert recovery.stuck_answers() == [] and recovery.sweep() == {}
    assert recovery.recover(now(answer)) is None and stored(answer) == before


def test_a_waiting_answer_with_a_job_is_never_taken_however_old(answer):
    Message.objects.filter(pk=answer.pk).update(created_at=timezone.now() - timedelta(days=30))
    before = stored(answer)
    assert recovery.sweep() == {} and recovery.recover(now(answer)) is None and stored(answer) == before


def test_ended_answers_are_left_alone(session, answer, claim, worker, alice):
    finish(claim)
    asking.cancel(answer_of(ask(session, alice)), alice)
    kill(worker)
    assert recovery.sweep() == {}


def test_the_finder_was_too_slow_the_worker_was_heard_again(answer, claim, worker):
    kill(worker)
    [seen] = recovery.stuck_answers()
    revive(worker)
    before = stored(answer)
    assert recovery.recover(seen) is None and stored(answer) == before


def test_the_finder_was_too_slow_it_finished(answer, claim, worker):
    """Race 3."""
    kill(worker)
    [seen] = recovery.stuck_answers()
    finish(claim)
    before = stored(answer)
    assert recovery.recover(seen) is None and stored(answer) == before and jobs() == []


def test_the_finder_was_too_slow_it_was_stopped(answer, claim, worker, alice):
    kill(worker)
    [seen] = recovery.stuck_answers()
    asking.cancel(answer, alice)
    assert recovery.recover(seen) is None and now(answer).status == Status.CANCELLED


def test_the_finder_was_too_slow_its_job_has_started(answer, worker):
    """Race 2: between the sweep's two reads a worker takes it."""
    lose_job(answer)
    [seen] = recovery.stuck_answers()
    claimed(answer, worker)
    before = stored(answer)
    assert recovery.recover(seen) is None and stored(answer) == before


def test_the_finder_was_too_slow_another_one_recovered_it(answer, claim, worker):
    kill(worker)
    [seen] = recovery.stuck_answers()
    assert recovery.recover(seen) == "recovered"
    waiting = jobs()
    assert recovery.recover(seen) is None and jobs() == waiting and now(answer).recoveries == 1


def test_the_finder_was_too_slow_a_successor_writes_it(answer, claim, worker):
    kill(worker)
    [seen] = recovery.stuck_answers()
    recovery.recover(seen)
    claimed(answer, a_worker("other"))
    before = stored(answer)
    assert recovery.recover(seen) is None and stored(answer) == before


def test_the_finder_was_too_slow_a_successor_has_died_too(answer, claim, worker):
    """The second death is for whoever sees it: what was seen was the first."""
    kill(worker)
    [seen] = recovery.stuck_answers()
    recovery.recover(seen)
    claimed(answer, worker)
    before = stored(answer)
    assert recovery.recover(seen) is None and stored(answer) == before
    assert recovery.sweep() == {"recovered": 1} and now(answer).recoveries == 2


def test_the_finder_was_too_slow_the_session_is_gone(session, answer, claim, worker):
    kill(worker)
    [seen] = recovery.stuck_answers()
    session_changes.delete(session)
    assert recovery.recover(seen) is None


def test_of_finders_at_once_one_recovers(session, alice, worker):
    for _ in range(4):
        answer = answer_of(ask(session, alice))
        claim = claimed(answer, worker)
        kill(worker)
        outcomes = at_once(*[functools.partial(recovery.recover, now(answer))] * 3)
        assert sorted(map(str, outcomes)) == ["None", "None", "recovered"]
        assert jobs() == [str(answer.pk)] and now(answer).recoveries == 1
        revive(worker)
        assert not finish(claim) and finish(claimed(answer, worker))


def test_a_finish_and_a_recovery_at_once_have_one_winner(session, alice, worker):
    for _ in range(5):
        answer = answer_of(ask(session, alice))
        claim = claimed(answer, worker)
        kill(worker)
        outcome, finished = at_once(functools.partial(recovery.recover, now(answer)), lambda c=claim: finish(c))
        assert (outcome, finished) in (("recovered", False), (None, True))
        assert now(answer).status == ("success" if finished else "pending")
        revive(worker)
        finished or finish(claimed(answer, worker))


# --- giving up ---


def test_after_too_many_deaths_it_is_given_up_with_the_longest_text_kept(session, answer, worker, settings):
    settings.ASSISTANT_MAX_ATTEMPTS = 3
    for text in ("As far as anyone came", "As far", ""):
        claim = claimed(answer, worker)
        write(claim, text, 1)
        kill(worker)
        assert now(answer).status == "processing"
        outcome = recovery.sweep()
        revive(worker)
    assert outcome == {"abandoned": 1}
    ended = now(answer)
    assert (ended.status, ended.error_code, ended.attempt) == ("error", "abandoned", 3)
    assert ended.content == "As far as anyone came" and ended.html["blocks"] and ended.error_detail
    assert ended.worker is None and ended.job is None and ended.finished_at and ended.salvage == ""


def test_with_one_attempt_the_first_death_is_the_last(answer, claim, worker, settings):
    settings.ASSISTANT_MAX_ATTEMPTS = 1
    kill(worker)
    assert recovery.sweep() == {"abandoned": 1} and now(answer).status == "error"


def test_hand_overs_don_t_count_as_deaths(answer, worker):
    for _ in range(10):
        assert answering.hand_over(claimed(answer, worker), Written("", 0))
    claimed(answer, worker)
    kill(worker)
    assert recovery.sweep() == {"recovered": 1}


def test_a_finder_may_be_told_to_give_up(answer, claim, worker):
    kill(worker)
    assert recovery.recover(now(answer), may_retry=False) == "abandoned" and now(answer).status == "error"


def test_blank_text_is_not_kept_by_an_abandoned_answer(answer, claim, worker):
    write(claim, " \n ", 1)
    kill(worker)
    recovery.recover(now(answer), may_retry=False)
    assert now(answer).content == ""


def test_a_dead_holder_leaves_no_lock(session, answer, claim, worker, bob):
    """Race 12: what waits behind a dead answer is answered after it."""
    waiting = ask(session, bob, "second").message
    kill(worker)
    recovery.sweep()
    finish(claimed(answer, a_worker("other")))
    assert running(session).reply_to == waiting


# --- the sweep ---


def test_one_bad_row_never_ends_the_sweep(alice, worker, monkeypatch):
    answers = [answer_of(ask(room, alice)) for room in rooms(alice, 3)]
    for answer in answers:
        claimed(answer, worker)
    kill(worker)
    real = endings.give_back

    def fails_for_the_first(message, **how):
        if message.pk == answers[0].pk:
            raise RuntimeError("a bad row")
        real(message, **how)

    monkeypatch.setattr(endings, "give_back", fails_for_the_first)
    assert recovery.sweep() == {"failed": 1, "recovered": 2}
    assert [now(answer).status for answer in answers] == ["processing", "pending", "pending"]
    monkeypatch.undo()
    assert recovery.sweep() == {"recovered": 1}, "a sweep that once failed is called again"


def test_one_bad_queue_never_ends_the_sweep(alice, monkeypatch):
    made = rooms(alice, 2)
    for room in made:
        ask(room, alice, "first")
        ask(room, alice, "second")
    Message.objects.running().update(status=Status.CANCELLED)
    real, seen = recovery.wake_queue, []

    def fails_once(session_id):
        seen.append(session_id)
        if len(seen) == 1:
            raise RuntimeError("a bad queue")
        real(session_id)

    monkeypatch.setattr(recovery, "wake_queue", fails_once)
    recovery.sweep()
    assert sorted(len(queued(room)) for room in made) == [0, 1]


def test_a_sweep_is_bounded_and_the_next_goes_on(alice, worker, monkeypatch):
    monkeypatch.setattr(recovery, "BATCH", 2)
    monkeypatch.setattr(recovery.stuck_answers, "__defaults__", (2, None))
    for room in rooms(alice, 5):
        claimed(answer_of(ask(room, alice)), worker)
    kill(worker)
    assert [recovery.sweep() for _ in range(4)] == [{"recovered": 2}, {"recovered": 2}, {"recovered": 1}, {}]


def test_bad_rows_as_many_as_a_batch_do_not_hide_the_others_for_ever(alice, worker, monkeypatch):
    """A batch that is read from the oldest on must not consist of the same bad rows each time."""
    monkeypatch.setattr(recovery.stuck_answers, "__defaults__", (2, None))
    answers = [answer_of(ask(room, alice)) for room in rooms(alice, 3)]
    for answer in answers:
        claimed(answer, worker)
    kill(worker)
    real, bad = endings.give_back, {answers[0].pk, answers[1].pk}

    def fails_for_two(message, **how):
        if message.pk in bad:
            raise RuntimeError("a bad row")
        real(message, **how)

    monkeypatch.setattr(endings, "give_back", fails_for_two)
    for _ in range(5):
        recovery.sweep()
    assert now(answers[2]).status == "pending"


def test_all_stuck_answers_are_read_in_batches(alice, worker, monkeypatch):
    monkeypatch.setattr(recovery.stuck_answers, "__defaults__", (2, None))
    answers = [answer_of(ask(room, alice)) for room in rooms(alice, 5)]
    for answer in answers:
        claimed(answer, worker)
    kill(worker)
    assert list(recovery.all_stuck_answers()) == answers


# --- jobs ---


def held_no_more(answer):
    """The second in which the workers have an answer's job for themselves is over."""
    OrmQ.objects.filter(pk=answer.job).update(lock=timezone.now())


def test_the_job_of_an_answer_is_the_workers_own_for_a_second(answer):
    assert queue.DoorbellBroker()._take() is None and claiming.waiting() == [answer.pk]
    held_no_more(answer)
    [(job, _)] = queue.DoorbellBroker()._take()
    assert job == answer.job


def test_a_job_is_taken_by_one_of_many_pushers(answer):
    held_no_more(answer)

    def take():
        return queue.DoorbellBroker()._take()

    taken = at_once(take, take, take)
    assert [bool(one) for one in taken].count(True) == 1, taken


def test_a_taken_job_counts_as_life_and_keeps_no_worker_from_its_answer(answer, worker):
    """Its taker may be dead, may stand still, or be full: nobody waits for it."""
    held_no_more(answer)
    queue.DoorbellBroker()._take()
    assert now(answer).is_alive() and recovery.sweep() == {}
    [claim] = claiming.claim_any(claiming.waiting(), worker)
    assert claim.message_id == answer.pk and not OrmQ.objects.exists()


def test_the_bell_rings_with_the_answer_when_its_job_commits(session, alice):
    from assistant.delivery import valkey

    valkey.client().delete(queue.BELL)
    answer = answer_of(ask(session, alice))
    assert valkey.client().lrange(queue.BELL, 0, -1) == [str(answer.pk).encode()]


def test_the_bell_holds_few_rings(monkeypatch):
    from assistant.delivery import valkey

    monkeypatch.setattr(queue, "_BELL_LENGTH", 3)
    valkey.client().delete(queue.BELL)
    for number in range(5):
        queue.ring(queue.BELL, str(number))
    assert valkey.client().lrange(queue.BELL, 0, -1) == [b"2", b"3", b"4"]


def test_other_jobs_ring_for_the_pushers_at_once(transactional_db):
    from django_q.tasks import async_task

    from assistant.delivery import valkey

    valkey.client().delete(queue.BELL, queue.JOBS_BELL)
    async_task("math.floor", 1.5)
    assert (valkey.client().llen(queue.BELL), valkey.client().llen(queue.JOBS_BELL)) == (0, 1)
    assert queue.DoorbellBroker()._take()


def test_a_bell_that_can_t_ring_loses_no_job(session, alice, settings):
    settings.REDIS_URL = "unix:///nowhere/at.all"
    answer = answer_of(ask(session, alice))
    assert now(answer).is_alive() and claiming.waiting() == [answer.pk]


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_the_queue_s_processes_outlive_the_database(answer, monkeypatch, error):
    """An error would have django-q2's pusher wait ten seconds and end, and its monitor die."""
    outage = [error("the server closed the connection"), error("connection refused")]

    def away():
        if outage:
            raise outage.pop()
        return OrmQ.objects.all()

    monkeypatch.setattr(queue, "AWAY_SECONDS", 0)
    held_no_more(answer)
    broker = queue.DoorbellBroker()
    with monkeypatch.context() as patch:
        patch.setattr(queue.DoorbellBroker, "get_connection", staticmethod(away))
        assert broker.dequeue() and not outage
        outage.append(error("the server closed the connection"))
        broker.acknowledge(answer.job)
    assert not queue.job_exists(answer.job)


# --- known deaths ---


def test_the_turns_of_a_buried_worker_go_on_at_once(answer, claim, worker):
    assert recovery.bury([worker]) == 1
    assert now(answer).status == "pending" and WorkerProcess.objects.get(pk=worker.pk).stopped_at


def test_burying_one_worker_leaves_the_turns_of_others(alice, worker):
    other = a_worker("other")
    mine, theirs = (answer_of(ask(room, alice)) for room in rooms(alice, 2))
    claimed(mine, worker)
    claimed(theirs, other)
    assert recovery.bury([worker]) == 1 and now(theirs).is_alive()


def test_one_bad_turn_of_a_buried_worker_leaves_the_others_to_go_on(alice, worker, monkeypatch):
    answers = [answer_of(ask(room, alice)) for room in rooms(alice, 3)]
    for answer in answers:
        claimed(answer, worker)
    real = endings.give_back

    def fails_for_the_first(message, **how):
        if message.pk == answers[0].pk:
            raise RuntimeError("a bad row")
        real(message, **how)

    monkeypatch.setattr(endings, "give_back", fails_for_the_first)
    assert recovery.bury([worker]) == 2


def test_rows_of_workers_that_ended_long_ago_are_forgotten_and_living_ones_kept(worker):
    gone = a_worker("gone")
    WorkerProcess.objects.filter(pk=gone.pk).update(heartbeat_at=Now() - timedelta(days=2))
    assert recovery.forget_old_workers() == 1
    assert list(WorkerProcess.objects.all()) == [worker]


def test_forgetting_a_worker_leaves_its_turn_to_be_recovered(answer, claim, worker):
    WorkerProcess.objects.filter(pk=worker.pk).update(heartbeat_at=Now() - timedelta(days=2))
    recovery.forget_old_workers()
    assert recovery.sweep() == {"recovered": 1}


def test_a_join_recovers_what_is_dead_and_leaves_what_lives(session, answer, claim, worker, vera):
    [shown] = [m for m in snapshot(session.pk, vera)["messages"] if m["role"] == "assistant"]
    assert (shown["status"], shown["alive"]) == ("processing", True) and now(answer).attempt == 1
    kill(worker)
    [shown] = [m for m in snapshot(session.pk, vera)["messages"] if m["role"] == "assistant"]
    assert (shown["status"], shown["alive"]) == ("pending", True)


def test_an_answer_that_its_living_worker_has_lost_track_of_is_put_back(answer, claim, worker):
    assert recovery.disown(answer.pk, claim.attempt)
    assert (now(answer).status, now(answer).worker, now(answer).is_alive()) == ("pending", None, True)


def test_disowning_another_attempt_or_an_ended_answer_changes_nothing(answer, claim):
    assert not recovery.disown(answer.pk, claim.attempt + 1)
    assert now(answer).status == "processing"
    finish(claim)
    assert not recovery.disown(answer.pk, claim.attempt)


def test_disowning_takes_no_answer_from_an_attempt_that_has_begun_meanwhile(answer, claim, worker, monkeypatch):
    """Between the look and the lock the answer went back to the queue and was claimed anew."""
    sessions = type(ChatSession.objects)
    locked, tries = sessions.locked, []

    def after_another_attempt(self, session_id):
        monkeypatch.setattr(sessions, "locked", locked)
        assert recovery.requeue(now(answer))
        tries.append(claimed(now(answer), worker))
        return self.locked(session_id)

    monkeypatch.setattr(sessions, "locked", after_another_attempt)
    assert not recovery.disown(answer.pk, claim.attempt)
    assert (now(answer).status, now(answer).attempt) == ("processing", tries[0].attempt)


def test_an_answer_that_can_t_be_recovered_keeps_nobody_out_of_its_session(
    session, answer, claim, worker, vera, monkeypatch
):
    kill(worker)

    def broken(message, may_retry=True):
        raise ValueError("a broken row")

    monkeypatch.setattr(recovery, "recover", broken)
    [_, shown] = snapshot(session.pk, vera)["messages"]
    assert (shown["status"], shown["alive"]) == ("processing", False), "so that Retry and Stop are offered"


def test_who_had_to_wait_long_for_the_lock_judges_nobody(answer, claim, worker, settings, monkeypatch):
    """A lock on all of SQLite, say an operator's shell, for longer than a lease: the workers live and could not say so."""
    settings.ASSISTANT_LEASE = 1
    kill(worker)
    seen = now(answer)
    real = ChatSession.objects.locked

    def late(session_id):
        time.sleep(0.3)
        return real(session_id)

    with monkeypatch.context() as patch:
        patch.setattr(type(ChatSession.objects), "locked", lambda manager, session_id: late(session_id))
        assert recovery.recover(seen) is None
    assert now(answer).status == "processing"
    assert recovery.recover(seen) == "recovered"


def test_while_a_heartbeat_hangs_nobody_is_judged(worker, loop, monkeypatch, settings):
    """What keeps it keeps everyone's: it hangs for as long as the database's patience before it fails."""
    from assistant.worker import sweeping
    from assistant.worker.held_turns import HeldTurns
    from assistant.worker.lease import Lease

    swept = []

    class Known:
        async def call_once(self, work, *arguments):
            swept.append(work)

    monkeypatch.setattr(sweeping, "SWEEP_SECONDS", 0)
    lease = Lease(worker, HeldTurns(1), Known(), Known())
    lease._beat_began = time.monotonic() - settings.ASSISTANT_LEASE / 3
    loop.run(sweeping.sweep(lease, Known()))
    assert swept == []
    lease._beat_began = time.monotonic()
    loop.run(sweeping.sweep(lease, Known()))
    lease._beat_began = None
    loop.run(sweeping.sweep(lease, Known()))
    assert swept.count(sweeping._sweep) == 2
