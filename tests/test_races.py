"""The races of other systems, each with the test here that holds it.

Where a test needs real processes or a browser it stands in tests/e2e. Where our design makes a race impossible, the test
says why in its name or its docstring.
"""

import ast
import asyncio
import threading
from pathlib import Path

import pytest

from assistant.lifecycle import answering, asking, claiming, recovery
from assistant.lifecycle.refusal import Refused
from assistant.models import Message
from assistant.models.message import Status
from tests.acting import (
    a_worker,
    an_outbox,
    answer_of,
    ask,
    claimed,
    fail,
    finish,
    first_delta,
    kill,
    now,
    queued,
    revive,
    running,
)
from tests.threads import at_once

TESTS = Path(__file__).parent

RACES = {
    1: ("the worker is stopped by a deploy after the part that would have reported it",
        "test_ending", "test_a_hand_over_is_pending_with_a_fresh_job_and_doesn_t_count_as_a_death"),
    2: ("a job starts between the sweep's two reads",
        "test_recovery", "test_the_finder_was_too_slow_its_job_has_started"),
    3: ("it finishes between the sweep's read and its write",
        "test_recovery", "test_the_finder_was_too_slow_it_finished"),
    4: ("a dead node's running record shields its message",
        "test_recovery", "test_an_answer_whose_worker_s_row_is_gone_is_stuck"),
    5: ("a failure of an old answer is written to the newest",
        "test_ending", "test_a_failure_of_an_old_answer_is_not_written_to_the_newest"),
    6: ("two messages with the same text get each other's ids",
        "test_sending", "test_two_messages_with_the_same_text_keep_their_own_answers"),
    7: ("a settings change overwrites a concurrent send",
        "test_session_settings", "test_changes_of_different_things_at_once_all_last"),
    8: ("timestamps of one second sort an answer before its question",
        "test_sending", "test_messages_of_one_instant_stand_in_order"),
    9: ("a handler that raises once is never called again",
        "test_races", "test_a_side_task_of_the_runner_that_raises_is_called_again"),
    10: ("the error event clears the buffer before the partial arrives",
         "test_ending", "test_the_partial_text_reaches_viewers_before_the_live_text_is_gone"),
    11: ("a continuation collides with the lock it was made under",
         "test_races", "test_a_promotion_inside_the_ending_is_not_refused_by_the_one_running_answer"),
    12: ("a crashed holder leaves the lock",
         "test_recovery", "test_a_dead_holder_leaves_no_lock"),
    13: ("a queued message lands in the history that the provider is sent",
         "test_steering", "test_the_prompt_of_a_new_attempt_has_it_once_behind_the_question"),
    14: ("a message that arrives in mid-call is never woken",
         "test_queueing", "test_a_message_that_arrives_while_an_answer_ends_is_always_answered"),
    15: ("the broadcast carries the state from before the change",
         "test_events", "test_the_broadcast_carries_the_state_after_the_change"),
    16: ("parallel results race to start the next round",
         "test_races", "test_who_ends_a_turn_twice_at_once_promotes_once"),
    17: ("take back the last message takes the wrong one",
         "test_queueing", "test_a_withdrawal_takes_back_the_one_that_was_named"),
    18: ("on reconnect the list is cleared after the history came",
         "test_races", "test_a_snapshot_that_comes_again_replaces_nothing_that_is_newer"),
    19: ("a retried job finds an empty mailbox",
         "test_context", "test_the_text_of_an_earlier_attempt_is_not_sent_as_an_answer"),
    20: ("the subscription isn't acknowledged yet when the first pieces pass",
         "test_consumer", "test_a_hole_is_seen_and_a_sync_closes_it"),
    21: ("the second reconnect in a row skips pieces",
         "test_consumer", "test_reconnecting_twice_in_a_row_skips_nothing"),
    22: ("a piece arrives while the counter is being read",
         "test_live", "test_a_reader_sees_text_and_seq_of_one_moment"),
    23: ("the counter restarts on the same stream, and a whole turn is dropped as old",
         "test_events", "test_a_second_attempt_counts_anew_and_nothing_of_it_is_dropped"),
    24: ("an old run's cleanup, stop or write hits its successor",
         "test_races", "test_an_old_run_s_cleanup_stop_and_write_leave_its_successor_alone"),
    25: ("reaping by age kills a long, living answer",
         "test_recovery", "test_a_living_answer_is_never_taken_however_old"),
    26: ("a start that is sent again is billed twice",
         "test_api", "test_the_same_send_twice_at_once_is_one_message_and_one_job"),
    27: ("the page asks for a message before its row is committed",
         "test_events", "test_whoever_hears_of_a_message_finds_it_committed"),
    28: ("snapshot and replay both apply a piece",
         "test_consumer", "test_a_delta_that_the_snapshot_holds_already_is_not_applied_twice"),
    29: ("two people press Retry at once", "test_ending", "test_two_people_press_retry_at_once"),
    30: ("withdraw and promote at once",
         "test_ordering", "test_moving_withdrawing_and_promoting_at_once_leave_a_whole_queue"),
    31: ("stop and finish at once", "test_ending", "test_a_stop_and_a_finish_at_once_have_one_winner"),
    32: ("stop before the claim", "test_claiming", "test_a_stop_and_a_claim_at_once_end_stopped"),
    33: ("two workers claim one message", "test_claiming", "test_of_two_workers_that_both_saw_it_pending_one_wins"),
    34: ("two questions in an idle session at once",
         "test_sending", "test_two_questions_at_once_in_an_idle_session_one_runs_and_one_waits"),
    35: ("a participant is removed while connected and while their question is being answered",
         "test_people", "test_nothing_more_reaches_who_is_removed_while_they_are_answered"),
    36: ("a zombie worker comes back after its turn was taken over",
         "test_ending", "test_a_zombie_cannot_overwrite_its_successor"),
}  # fmt: skip


@pytest.mark.parametrize("number", range(1, 37))
def test_each_race_has_its_test(number):
    _, file, name = RACES[number]
    names = {node.name for node in ast.walk(ast.parse((TESTS / f"{file}.py").read_text())) if hasattr(node, "name")}
    assert name in names


# --- those that have no better place ---


@pytest.mark.django_db(transaction=True)
def test_a_promotion_inside_the_ending_is_not_refused_by_the_one_running_answer(session, alice, bob, worker):
    """Race 11: the ending frees the session before the promotion takes it, in one transaction."""
    claim = claimed(answer_of(ask(session, alice)), worker)
    ask(session, bob, "second")
    assert finish(claim)
    assert session.messages.running().count() == 1 and running(session).reply_to.content == "second"


@pytest.mark.django_db(transaction=True)
def test_who_ends_a_turn_twice_at_once_promotes_once(session, alice, bob, worker):
    """Race 16: whatever ends a turn (its worker, a stop, a recovery), one ending wins and starts what follows, once."""
    answer = answer_of(ask(session, alice))
    for n in range(4):
        claim = claimed(answer, worker)
        ask(session, bob, f"a{n}")
        ask(session, bob, f"b{n}")
        asked = at_once(
            lambda c=claim: finish(c),
            lambda c=claim: finish(c),
            lambda a=answer: asking.cancel(a, alice),
        )
        assert sum(result is True or isinstance(result, Message) for result in asked) == 1, asked
        assert session.messages.running().count() == 1 and queued(session) == [f"b{n}"]
        finish(claimed(running(session), worker))
        finish(claimed(running(session), worker))
        answer = answer_of(ask(session, alice))


@pytest.mark.django_db(transaction=True)
def test_an_old_run_s_cleanup_stop_and_write_leave_its_successor_alone(session, alice, worker, loop):
    """Race 24: each names its attempt, in the database, in Valkey and in the message to the worker."""
    from assistant.delivery import live_text
    from assistant.worker.held_turns import HeldTurns
    from assistant.worker.lease import Lease

    answer = answer_of(ask(session, alice))
    old = claimed(answer, worker)
    kill(worker)
    recovery.sweep()
    revive(worker)
    new = claimed(answer, worker)

    async def scenario():
        async with an_outbox() as outbox:
            texts = (live_text.LiveText(run.attempt, 1, word) for run, word in ((new, "new"), (old, "old")))
            deltas = [first_delta(answer.pk, text) for text in texts]
            assert await live_text.write(outbox, deltas) == [live_text.DONE, live_text.REFUSED]

    loop.run(scenario())
    assert (
        not finish(old, "old") and not fail(old) and answering.checkpoint({old: answering.Written("o", 1)}) == {old}
    )
    assert live_text.read(answer.pk).content == "new", "the old run's ending discards nothing"

    stopped = []

    class FakeTurn:
        def stop(self, why):
            stopped.append(why)

    turns = HeldTurns(1)
    turns.add(new, FakeTurn())
    lease = Lease(worker, turns, database=None, work=None)
    rows = answering.rows_held_by(new.worker_id)
    assert rows == {(new.message_id, new.attempt)}
    lease.drop_lost({new}, rows)
    assert stopped == []
    lease.drop_lost(set(), set())  # the rows were read before this turn began: that says nothing about it
    assert stopped == []
    assert finish(new, "new")


@pytest.mark.django_db(transaction=True)
def test_a_side_task_of_the_runner_that_raises_is_called_again(worker, loop, monkeypatch, caplog):
    """Race 9."""
    from assistant.worker import runner

    calls = []
    real_sleep = asyncio.sleep

    async def work():
        calls.append(len(calls))
        if len(calls) < 3:
            raise RuntimeError("once")
        await real_sleep(3600)

    async def scenario():
        monkeypatch.setattr(asyncio, "sleep", lambda seconds: real_sleep(0))
        task = runner.named("work", work, worker)
        while len(calls) < 3:
            await real_sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    loop.run(asyncio.wait_for(scenario(), 30))
    assert calls == [0, 1, 2] and "it goes on" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_snapshot_that_comes_again_replaces_nothing_that_is_newer(session, alice, vera, worker, frames):
    """Race 18: a late snapshot (read before, delivered after) neither empties the list nor turns it back."""
    from assistant.lifecycle.joining import snapshot
    from tests.client_state import ClientState

    client = ClientState(snapshot(session.pk, vera))
    claim = claimed(answer_of(ask(session, alice)), worker)
    late = snapshot(session.pk, vera)
    finish(claim, "Fine.")
    for frame in frames:
        client.apply(frame)
    client.apply({"type": "session.snapshot", **late})
    assert [message["status"] for message in client.shown["messages"]] == ["success", "success"]


@pytest.mark.django_db(transaction=True)
def test_a_recovery_and_a_send_at_once_leave_nothing_stuck(session, alice, bob, worker, settings):
    settings.ASSISTANT_MAX_ATTEMPTS = 1
    for n in range(4):
        claimed(answer_of(ask(session, alice)), worker)
        kill(worker)
        at_once(recovery.sweep, lambda n=n: ask(session, bob, f"{n}"))
        asking.resume(session)
        revive(worker)
        assert running(session).reply_to.content == f"{n}" and not queued(session)
        finish(claimed(running(session), worker))


@pytest.mark.django_db(transaction=True)
def test_everything_at_once_ends_with_everything_answered(session, alice, bob, settings):
    """Senders, stoppers, two workers and a sweeper in one room: no deadlock, no message left behind."""
    workers = [a_worker("one"), a_worker("two")]
    senders_left = threading.Semaphore(0)

    def send(author, name):
        for n in range(6):
            ask(session, author, f"{name}{n}")
        senders_left.release()

    def work(worker):
        while True:
            waiting = session.messages.running().filter(status=Status.PENDING).first()
            if waiting and (claim := claiming.claim(waiting.pk, worker)):
                finish(claim, "Fine.")
            elif senders_left._value == 2 and not session.messages.unfinished().exists():
                return

    def stop():
        for _ in range(6):
            if answer := session.messages.running().first():
                try:
                    asking.cancel(answer, alice)
                except Refused as refused:
                    assert refused.code == "already_finished"

    def sweep():
        for _ in range(6):
            recovery.sweep()

    results = at_once(
        lambda: send(alice, "a"),
        lambda: send(bob, "b"),
        lambda: work(workers[0]),
        lambda: work(workers[1]),
        stop,
        sweep,
    )
    assert [result for result in results if result is not None] == []
    questions = session.messages.filter(role="user")
    assert questions.count() == 12 and all(question.replies.count() == 1 for question in questions)
    assert {now(m).status for m in session.messages.answers()} <= {"success", "cancelled"}
