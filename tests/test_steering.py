"""A message may join the running answer: its tool loop takes it up between two rounds, once, whoever dies."""

import pytest

from assistant.lifecycle import asking, recovery, session_changes, steering
from assistant.lifecycle.refusal import Refused
from assistant.models import ChatSession
from assistant.models.message import Status
from assistant.prompt import context
from tests.acting import answer_of, ask, claimed, fail, finish, kill, now, queued, revive, running
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def answer(session, alice):
    return answer_of(ask(session, alice, "first"))


def contents(messages):
    return [message.content for message in messages]


def said(claim):
    return [
        (line["role"], line["content"]) for line in context.prompt_for(claim).messages if line["role"] != "system"
    ]


def test_it_waits_visibly_until_the_running_answer_takes_it(session, answer, claim, bob):
    sent = ask(session, bob, "and mind this", when="steer")
    assert (sent.message.status, sent.message.when, sent.reply) == (Status.PENDING, "steer", None)
    [taken] = steering.take(claim, 1)
    assert taken == sent.message and taken.author == bob
    stored = now(taken)
    assert (stored.status, stored.taken_by, stored.taken_round) == (Status.SUCCESS, answer, 1)
    assert not queued(session) and stored.finished_at and not stored.replies.exists()


def test_only_what_wants_to_steer_is_taken_and_all_of_it_in_order(session, claim, alice, bob):
    for content, author, when in (("a", bob, "queue"), ("b", bob, "steer"), ("c", alice, ""), ("d", alice, "steer")):
        ask(session, author, content, when=when)
    assert contents(steering.take(claim, 1)) == ["b", "d"]
    assert queued(session) == ["a", "c"]
    assert steering.take(claim, 1) == []
    order = session.messages.filter(role="user").in_order().values_list("content", flat=True)
    assert list(order) == ["first", "b", "d", "a", "c"], "what waits stands behind all that was said"


def test_a_session_may_steer_by_default(session, claim, bob):
    ChatSession.objects.filter(pk=session.pk).update(when_busy="steer")
    ask(session, bob, "by default")
    ask(session, bob, "not this", when="queue")
    assert contents(steering.take(claim, 1)) == ["by default"]


def test_a_turn_that_ends_without_another_round_leaves_it_next_in_the_queue(session, claim, bob, alice):
    ask(session, bob, "steering", when="steer")
    ask(session, alice, "later")
    finish(claim)
    promoted = running(session)
    assert promoted.reply_to.content == "steering" and promoted.reply_to.taken_by is None
    assert queued(session) == ["later"]


def test_everyone_is_told(session, answer, claim, bob, frames):
    ask(session, bob, "steering", when="steer")
    frames.clear()
    steering.take(claim, 2)
    [told] = [frame["message"] for frame in frames if frame["type"] == "message.updated"]
    assert (told["content"], told["status"], told["taken_by"], told["taken_round"]) == (
        "steering", "success", str(answer.pk), 2,
    )  # fmt: skip


# --- the claim fences it ---


def test_a_worker_whose_answer_was_stopped_takes_nothing(session, answer, claim, alice, bob):
    asking.cancel(answer, alice)
    ask(session, alice, "next")
    waiting = ask(session, bob, "steering", when="steer").message
    assert steering.take(claim, 1) == [] and now(waiting).status == Status.PENDING


def test_a_late_worker_takes_nothing_from_its_successor(session, answer, claim, bob, worker):
    ask(session, bob, "steering", when="steer")
    kill(worker)
    recovery.sweep()
    revive(worker)
    again = claimed(answer, worker)
    assert steering.take(claim, 1) == []
    assert contents(steering.take(again, 1)) == ["steering"]


def test_of_a_deleted_session_nothing_is_taken(session, claim, bob):
    ask(session, bob, "steering", when="steer")
    session_changes.delete(session)
    assert steering.take(claim, 1) == []


def test_taking_and_withdrawing_can_t_both_win(session, alice, bob, worker, answer):
    for n in range(5):
        claim = claimed(answer, worker)
        waiting = ask(session, bob, f"steering {n}", when="steer").message
        withdrawal, taken = at_once(lambda w=waiting: asking.withdraw(w), lambda c=claim: steering.take(c, 1))
        assert bool(taken) == isinstance(withdrawal, Refused), (withdrawal, taken)
        assert now(waiting).status == (Status.SUCCESS if taken else Status.CANCELLED)
        finish(claim)
        answer = answer_of(ask(session, alice, "again"))


def test_taking_and_ending_at_once_answers_it_exactly_once(session, alice, bob, worker, answer):
    """Race 14: in the running answer or in its own, never in none and never in both."""
    for n in range(5):
        claim = claimed(answer, worker)
        waiting = ask(session, bob, f"steering {n}", when="steer").message
        stop, taken = at_once(lambda a=answer: asking.cancel(a, alice), lambda c=claim: steering.take(c, 1))
        assert not isinstance(stop, BaseException), stop
        own = now(waiting).replies.count()
        assert (len(taken), own) in ((1, 0), (0, 1))
        answer = running(session) if own else answer_of(ask(session, alice, "again"))


# --- what the model is told ---


def test_the_prompt_of_a_new_attempt_has_it_once_behind_the_question(session, answer, claim, bob, worker):
    ask(session, bob, "steering", when="steer")
    ask(session, bob, "waits")
    steering.take(claim, 1)
    for _ in range(2):
        kill(worker)
        recovery.sweep()
        revive(worker)
        again = claimed(answer, worker)
        assert said(again) == [("user", "alice: first"), ("user", "bob: steering")]
        assert contents(steering.taken_along(answer)) == ["steering"] and steering.take(again, 1) == []


def test_later_answers_are_told_it_between_the_question_and_the_answer_that_took_it(
    session, answer, claim, bob, worker
):
    ask(session, bob, "waits")
    ask(session, bob, "steering", when="steer")
    steering.take(claim, 1)
    finish(claim, "done")
    assert said(claimed(running(session), worker)) == [
        ("user", "alice: first"), ("user", "bob: steering"), ("assistant", "done"), ("user", "bob: waits"),
    ]  # fmt: skip


def test_a_retry_is_told_it_too(session, answer, claim, bob, worker):
    steered = ask(session, bob, "steering", when="steer").message
    steering.take(claim, 1)
    fail(claim)
    for again in (lambda: asking.retry(now(answer)), lambda: asking.retry(now(steered))):
        retried = again()
        assert retried.reply_to == answer.reply_to
        claim = claimed(retried, worker)
        assert said(claim) == [("user", "alice: first"), ("user", "bob: steering")]
        assert contents(steering.taken_along(retried)) == ["steering"]
        fail(claim)
