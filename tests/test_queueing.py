"""A question that is sent while an answer is written waits: visible, its author's, first in first out."""

from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from assistant.lifecycle import answering, asking, claiming, recovery, session_changes
from assistant.lifecycle.answering import Written
from assistant.lifecycle.refusal import Refused
from assistant.models import ChatSession, Message
from assistant.models.message import Status
from tests.acting import a_worker, answer_of, ask, claimed, fail, finish, jobs, kill, now, queued, running
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def answer(session, alice):
    """The running answer behind which everything waits."""
    return answer_of(ask(session, alice, "first"))


def rest(session, seconds=-1.0):
    """The pause after a failure ends in so many seconds."""
    until = timezone.now() + timedelta(seconds=seconds)
    ChatSession.objects.filter(pk=session.pk).update(queue_paused_until=until)


def test_it_waits_with_its_author_and_without_an_answer_or_a_job(session, answer, bob):
    sent = ask(session, bob, "second")
    assert (sent.message.status, sent.reply, sent.message.author) == (Status.PENDING, None, bob)
    assert jobs() == [str(answer.pk)] and sent.message.is_alive()


def test_the_end_of_an_answer_promotes_the_next_with_its_job_in_the_same_transaction(session, answer, claim, bob):
    waiting = ask(session, bob, "second").message
    finish(claim)
    promoted = running(session)
    assert promoted.reply_to == waiting and now(waiting).status == Status.SUCCESS
    assert jobs()[-1] == str(promoted.pk) and promoted.job == OrmQ.objects.order_by("id").last().pk
    assert now(waiting).finished_at and promoted.position == waiting.position + 1


def test_first_in_first_out(session, claim, alice, bob, worker):
    for content, author in (("a", bob), ("b", alice), ("c", bob)):
        ask(session, author, content)
    assert queued(session) == ["a", "b", "c"]
    order = []
    finish(claim)
    while answer := session.messages.running().first():
        order.append(answer.reply_to.content)
        finish(claimed(answer, worker))
    assert order == ["a", "b", "c"] and not queued(session)


def test_questions_of_one_instant_are_promoted_in_the_order_of_their_sending(session, claim, alice):
    for content in "abc":
        ask(session, alice, content)
    session.messages.update(created_at=session.created_at)
    finish(claim)
    assert running(session).reply_to.content == "a"


def test_stopping_an_answer_promotes_the_next(session, answer, claim, alice, bob):
    ask(session, bob, "second")
    asking.cancel(answer, alice)
    assert running(session).reply_to.content == "second"


def test_stopping_an_answer_before_its_claim_promotes_the_next(session, answer, alice, bob):
    ask(session, bob, "second")
    asking.cancel(answer, alice)
    assert running(session).reply_to.content == "second" and jobs() == [str(running(session).pk)]


def test_a_hand_over_promotes_nothing(session, answer, claim, bob):
    ask(session, bob, "second")
    answering.hand_over(claim, Written("", 0))
    assert running(session) == answer and queued(session) == ["second"]


def test_thirty_two_wait_and_the_next_is_refused(session, answer, alice, bob):
    for n in range(32):
        ask(session, alice if n % 2 else bob, f"{n}")
    with pytest.raises(Refused, match="32 messages wait") as refusal:
        ask(session, bob, "one too many")
    assert (refusal.value.code, refusal.value.status) == ("queue_full", 429)
    assert refusal.value.retry_after and len(queued(session)) == 32


def test_the_bound_holds_when_many_send_at_once(session, answer, alice, bob, settings):
    settings.ASSISTANT_QUEUE_LIMIT = 3
    results = at_once(*[lambda n=n: ask(session, (alice, bob)[n % 2], f"{n}") for n in range(6)])
    assert sum(isinstance(result, Refused) for result in results) == 3, results
    assert len(queued(session)) == 3


def test_there_is_room_again_once_one_was_promoted(session, claim, alice, settings):
    settings.ASSISTANT_QUEUE_LIMIT = 1
    ask(session, alice, "second")
    finish(claim)
    assert ask(session, alice, "third").reply is None
    assert queued(session) == ["third"]


# --- edit and withdraw ---


def test_its_author_may_edit_it_until_it_is_promoted(session, claim, bob):
    waiting = ask(session, bob, "secnd").message
    edited = asking.edit(now(waiting), "  **second** ")
    assert edited.content == "**second**" and edited.version == waiting.version + 1
    assert "<strong>second</strong>" in "".join(edited.html["blocks"])
    finish(claim)
    with pytest.raises(Refused) as refusal:
        asking.edit(waiting, "third")
    assert refusal.value.code == "already_promoted" and now(waiting).content == "**second**"


@pytest.mark.parametrize(("content", "code"), [(" ", "empty"), ("x" * 10_001, "too_long")])
def test_an_edit_is_held_to_the_same_limits(session, answer, bob, content, code):
    waiting = ask(session, bob, "second").message
    with pytest.raises(Refused) as refusal:
        asking.edit(waiting, content)
    assert refusal.value.code == code and now(waiting).content == "second"


def test_a_withdrawn_question_is_never_answered(session, claim, bob, alice):
    first, second = ask(session, bob, "no").message, ask(session, alice, "yes").message
    withdrawn = asking.withdraw(first)
    assert withdrawn.status == Status.CANCELLED and withdrawn.finished_at
    finish(claim)
    assert running(session).reply_to == second and not now(first).replies.exists()


def test_a_withdrawal_takes_back_the_one_that_was_named(session, answer, bob):
    """Race 17: never "the last one"."""
    same = [ask(session, bob, "same").message for _ in range(3)]
    asking.withdraw(same[1])
    assert [now(message).status for message in same] == ["pending", "cancelled", "pending"]


def test_it_can_be_withdrawn_once(session, answer, bob):
    waiting = ask(session, bob, "second").message
    asking.withdraw(waiting)
    for again in (lambda: asking.withdraw(waiting), lambda: asking.edit(waiting, "x")):
        with pytest.raises(Refused) as refusal:
            again()
        assert refusal.value.code == "already_withdrawn"


def test_an_answered_question_and_an_answer_can_t_be_withdrawn(session, answer):
    for message in (answer, answer.reply_to):
        with pytest.raises(Refused):
            asking.withdraw(message)
    assert answer.is_alive()


def test_withdrawing_and_promoting_can_t_both_win(session, alice, bob, worker):
    answer = answer_of(ask(session, alice, "first"))
    for n in range(5):
        claim = claimed(answer, worker)
        waiting = ask(session, bob, f"next {n}").message
        withdrawal, _ = at_once(lambda w=waiting: asking.withdraw(w), lambda c=claim: finish(c))
        answered = now(waiting).replies.exists()
        assert answered == isinstance(withdrawal, Refused), withdrawal
        assert now(waiting).status == (Status.SUCCESS if answered else Status.CANCELLED)
        answer = running(session) if answered else answer_of(ask(session, alice, "again"))


def test_an_edit_at_the_moment_of_promotion_is_answered_as_edited_or_refused(session, alice, bob, worker):
    answer = answer_of(ask(session, alice, "first"))
    for n in range(5):
        claim = claimed(answer, worker)
        waiting = ask(session, bob, f"old {n}").message
        edit, _ = at_once(lambda w=waiting, n=n: asking.edit(w, f"new {n}"), lambda c=claim: finish(c))
        assert now(waiting).content == (f"old {n}" if isinstance(edit, Refused) else f"new {n}")
        answer = running(session)


# --- the pause after a failure ---


def test_a_failed_turn_pauses_the_queue_instead_of_burning_through_it(session, claim, bob):
    waiting = ask(session, bob, "second").message
    fail(claim)
    session.refresh_from_db()
    assert session.queue_paused_until > timezone.now() and not session.messages.running().exists()
    assert queued(session) == ["second"] and now(waiting).is_alive()


def test_a_failure_with_nothing_waiting_pauses_nothing(session, claim, alice):
    fail(claim)
    session.refresh_from_db()
    assert session.queue_paused_until is None and ask(session, alice).reply is not None


def test_what_is_sent_into_a_paused_queue_waits_too(session, claim, alice, bob):
    ask(session, bob, "second")
    fail(claim)
    assert ask(session, alice, "third").reply is None and queued(session) == ["second", "third"]


def test_resume_goes_on_at_once(session, claim, bob):
    ask(session, bob, "second")
    fail(claim)
    asking.resume(session)
    session.refresh_from_db()
    assert running(session).reply_to.content == "second" and session.queue_paused_until is None


def test_resume_is_harmless_otherwise(session, answer, bob):
    ask(session, bob, "second")
    asking.resume(session)
    assert running(session) == answer and queued(session) == ["second"]


def test_two_who_resume_at_once_start_one_answer(session, claim, bob):
    ask(session, bob, "second")
    ask(session, bob, "third")
    fail(claim)
    at_once(*[lambda: asking.resume(session)] * 3)
    assert session.messages.running().count() == 1 and queued(session) == ["third"]


def test_the_pause_ends_by_itself(session, claim, bob):
    ask(session, bob, "second")
    fail(claim)
    recovery.sweep()
    assert queued(session) == ["second"], "the pause isn't over"
    rest(session)
    recovery.sweep()
    session.refresh_from_db()
    assert running(session).reply_to.content == "second" and session.queue_paused_until is None


def test_a_queue_that_rests_for_no_reason_is_woken(session, answer, bob):
    """However it came about: nothing runs, nothing is paused, and questions wait."""
    ask(session, bob, "second")
    Message.objects.filter(pk=answer.pk).update(status=Status.CANCELLED)
    recovery.sweep()
    assert running(session).reply_to.content == "second"


def test_sending_into_a_queue_that_rests_for_no_reason_wakes_it_too(session, answer, alice, bob):
    ask(session, bob, "second")
    Message.objects.filter(pk=answer.pk).update(status=Status.CANCELLED)
    assert ask(session, alice, "third").reply is None
    assert running(session).reply_to.content == "second" and queued(session) == ["third"]


def test_the_last_withdrawal_ends_the_pause(session, claim, bob, alice):
    waiting = ask(session, bob, "second").message
    fail(claim)
    asking.withdraw(waiting)
    session.refresh_from_db()
    assert session.queue_paused_until is None and ask(session, alice, "at once").reply is not None


def test_a_retry_that_succeeds_lets_the_paused_queue_go_on(session, answer, claim, bob, worker):
    ask(session, bob, "second")
    fail(claim)
    again = asking.retry(now(answer))
    assert queued(session) == ["second"]
    finish(claimed(again, worker))
    session.refresh_from_db()
    assert running(session).reply_to.content == "second" and session.queue_paused_until is None


def test_an_abandoned_answer_pauses_the_queue_too(session, claim, bob, worker, settings):
    settings.ASSISTANT_MAX_ATTEMPTS = 1
    ask(session, bob, "second")
    kill(worker)
    assert recovery.sweep() == {"abandoned": 1}
    session.refresh_from_db()
    assert session.queue_paused_until and queued(session) == ["second"]


# --- sending and ending at once ---


def test_a_message_that_arrives_while_an_answer_ends_is_always_answered(session, alice, bob, worker):
    """Race 14: it is promoted by the ending, or finds the session idle; it never waits for nobody."""
    answer = answer_of(ask(session, alice, "first"))
    for n in range(6):
        claim = claimed(answer, worker)
        at_once(lambda c=claim: finish(c), lambda n=n: ask(session, bob, f"next {n}"))
        answer = running(session)
        assert answer.reply_to.content == f"next {n}" and not queued(session)


def test_deleting_the_session_takes_its_queue_along(session, answer, claim, bob):
    ask(session, bob, "second")
    other = a_worker("other")
    session_changes.delete(session)
    assert not Message.objects.exists() and not finish(claim)
    assert claiming.claim(answer.pk, other) is None and recovery.sweep() == {}
