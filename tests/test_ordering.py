"""The order in which waiting messages are asked: moved by their authors, asked now by whoever writes here."""

import uuid

import pytest

from assistant.lifecycle import asking, ordering
from assistant.lifecycle.refusal import Refused
from assistant.models import ChatSession
from assistant.models.message import Status
from tests.acting import answer_of, ask, claimed, fail, finish, jobs, now, queued, running, write
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def answer(session, alice):
    return answer_of(ask(session, alice, "first"))


@pytest.fixture
def waiting(session, answer, alice, bob):
    """Four that wait, by name."""
    return {
        name: ask(session, who, name).message for name, who in (("a", alice), ("b", bob), ("c", alice), ("d", bob))
    }


def questions(session):
    of_people = session.messages.filter(role="user").exclude(status="cancelled").in_order()
    return list(of_people.values_list("content", flat=True))


# --- move ---


@pytest.mark.parametrize(
    ("moved", "before", "order"),
    [
        ("c", "a", "cabd"),
        ("a", "d", "bcad"),
        ("a", None, "bcda"),
        ("d", "a", "dabc"),
        ("b", "b", "abcd"),
        ("b", "c", "abcd"),
    ],
)
def test_a_message_is_moved_before_another_or_to_the_end(session, waiting, moved, before, order):
    ordering.move(waiting[moved], waiting[before].pk if before else None)
    assert queued(session) == list(order)
    assert questions(session) == ["first", *order]


def test_what_was_moved_is_asked_in_the_new_order(session, waiting, claim, worker):
    ordering.move(waiting["d"], waiting["a"].pk)
    ordering.move(waiting["a"], None)
    order = []
    finish(claim)
    while answer := session.messages.running().first():
        order.append(answer.reply_to.content)
        assert answer.position == answer.reply_to.position + 1
        finish(claimed(answer, worker))
    assert order == ["d", "b", "c", "a"]
    assert questions(session) == ["first", "d", "b", "c", "a"]


def test_everyone_is_told_of_each_message_that_moved_and_of_no_other(session, waiting, frames):
    ordering.move(waiting["b"], waiting["a"].pk)
    told = [frame["message"] for frame in frames if frame["type"] == "message.updated"]
    assert sorted(message["content"] for message in told) == ["a", "b"]
    assert {m["content"]: m["position"] for m in told} == {
        "b": waiting["a"].position, "a": waiting["b"].position,
    }  # fmt: skip
    assert all(message["version"] == 2 for message in told)


def test_only_what_waits_is_moved_and_only_before_what_waits(session, answer, waiting):
    gone = waiting.pop("a")
    asking.withdraw(gone)
    for moved, before, code in (
        (gone, None, "already_withdrawn"),
        (now(answer).reply_to, None, "already_promoted"),
        (waiting["c"], gone.pk, "not_waiting"),
        (waiting["c"], answer.reply_to_id, "not_waiting"),
        (waiting["c"], uuid.uuid4(), "not_waiting"),
    ):
        with pytest.raises(Refused) as refusal:
            ordering.move(moved, before)
        assert refusal.value.code == code
    assert queued(session) == ["b", "c", "d"]


def test_moving_withdrawing_and_promoting_at_once_leave_a_whole_queue(session, alice, bob, worker):
    """Race 30: whoever comes late finds the message gone; nothing is lost, doubled or asked twice."""
    answer = answer_of(ask(session, alice, "first"))
    for n in range(6):
        claim = claimed(answer, worker)
        one, two, three = (ask(session, bob, f"{n}{name}").message for name in "abc")
        move, withdrawal, _, again = at_once(
            lambda t=three, o=one: ordering.move(t, o.pk),
            lambda o=one: asking.withdraw(o),
            lambda c=claim: finish(c),
            lambda t=two: ordering.move(t, None),
        )
        for result in (move, withdrawal, again):
            assert not isinstance(result, BaseException) or isinstance(result, Refused), result
        asked = running(session).reply_to
        assert (now(one).status == Status.CANCELLED) != isinstance(withdrawal, Refused)
        left = queued(session)
        live = [m.content for m in (one, two, three) if now(m).status != Status.CANCELLED]
        assert sorted([asked.content, *left]) == sorted(live)
        positions = list(session.messages.filter(role="user").values_list("position", flat=True))
        assert len(positions) == len(set(positions))
        for message in session.messages.queued():
            asking.withdraw(message)
        answer = running(session)


# --- send now ---


def test_send_now_interrupts_keeps_the_partial_and_asks_this(session, waiting, answer, claim, alice):
    write(claim, "half an ans", 3)
    sent = ordering.send_now(waiting["c"], alice)
    stopped = now(answer)
    assert (stopped.status, stopped.content, stopped.stopped_by) == (Status.CANCELLED, "half an ans", alice)
    assert running(session) == sent.reply and sent.reply.reply_to == waiting["c"]
    assert sent.message.status == Status.SUCCESS and jobs()[-1] == str(sent.reply.pk)
    assert queued(session) == ["a", "b", "d"] and questions(session) == ["first", "c", "a", "b", "d"]
    assert not finish(claim, "too late")


def test_send_now_into_a_paused_queue_ends_the_pause(session, waiting, claim, bob):
    fail(claim)
    sent = ordering.send_now(waiting["b"], bob)
    session.refresh_from_db()
    assert (
        running(session) == sent.reply and session.queue_paused_until is None and queued(session) == ["a", "c", "d"]
    )


def test_two_who_send_two_messages_now_stop_one_after_the_other(session, waiting, claim, alice, bob):
    results = at_once(lambda: ordering.send_now(waiting["a"], alice), lambda: ordering.send_now(waiting["b"], bob))
    assert not any(isinstance(result, BaseException) for result in results), results
    assert session.messages.running().count() == 1 and queued(session) == ["c", "d"]
    assert {now(waiting["a"]).status, now(waiting["b"]).status} == {Status.SUCCESS}


def test_two_who_send_one_message_now_ask_it_once(session, waiting, claim, alice, bob):
    results = at_once(lambda: ordering.send_now(waiting["a"], alice), lambda: ordering.send_now(waiting["a"], bob))
    assert sum(isinstance(result, Refused) for result in results) == 1
    assert now(waiting["a"]).replies.count() == 1


def test_send_now_and_withdraw_can_t_both_win(session, alice, bob, worker):
    answer = answer_of(ask(session, alice, "first"))
    for n in range(5):
        claimed(answer, worker)
        message = ask(session, bob, f"next {n}").message
        withdrawal, sent = at_once(
            lambda m=message: asking.withdraw(m), lambda m=message: ordering.send_now(m, alice)
        )
        assert isinstance(withdrawal, Refused) != isinstance(sent, Refused), (withdrawal, sent)
        assert now(message).replies.count() == (not isinstance(sent, Refused))
        asking.cancel(running(session), alice)
        answer = answer_of(ask(session, alice, "again"))


def test_send_now_and_the_end_of_the_answer_at_once_answer_everything_once(session, alice, bob, worker):
    """Race 14 and 31: the ending promotes another first, which is then stopped, or the sending comes first."""
    answer = answer_of(ask(session, alice, "first"))
    for n in range(5):
        claim = claimed(answer, worker)
        other, message = ask(session, alice, f"other {n}").message, ask(session, bob, f"now {n}").message
        at_once(lambda c=claim: finish(c), lambda m=message: ordering.send_now(m, bob))
        assert now(message).replies.count() == 1 and running(session).reply_to == message
        assert now(other).status in (Status.PENDING, Status.SUCCESS)
        for waits in session.messages.queued():
            asking.withdraw(waits)
        answer = running(session)


# --- interrupt ---


def test_an_interrupting_message_is_answered_at_once(session, waiting, answer, claim, bob):
    write(claim, "half", 1)
    sent = ask(session, bob, "wait!", when="interrupt")
    assert (now(answer).status, now(answer).content, now(answer).stopped_by) == (Status.CANCELLED, "half", bob)
    assert sent.message.status == Status.SUCCESS and running(session) == sent.reply
    assert questions(session) == ["first", "wait!", "a", "b", "c", "d"], "what waits stands behind all that was said"
    assert sent.message.position == now(sent.message).position == sent.reply.position - 1


def test_the_same_interrupting_message_again_stops_nothing(session, answer, bob):
    first = ask(session, bob, "wait!", client_id="x", when="interrupt")
    again = ask(session, bob, "wait!", client_id="x", when="interrupt")
    assert (again.message, again.reply, again.is_new) == (first.message, first.reply, False)
    assert running(session) == first.reply


def test_a_session_may_interrupt_by_default_and_a_message_may_wait_all_the_same(session, answer, bob):
    ChatSession.objects.filter(pk=session.pk).update(when_busy="interrupt")
    assert ask(session, bob, "waits", when="queue").message.status == Status.PENDING
    assert ask(session, bob, "now").reply is not None
    assert queued(session) == ["waits"]


def test_in_an_idle_session_all_three_are_answered_at_once(session, alice, worker):
    for when in ("queue", "steer", "interrupt"):
        sent = ask(session, alice, when, when=when)
        assert sent.message.status == Status.SUCCESS
        finish(claimed(answer_of(sent), worker))
    assert not session.messages.filter(status=Status.CANCELLED).exists()


def test_many_who_interrupt_at_once_leave_one_running_answer(session, answer, alice, bob):
    results = at_once(*[lambda n=n: ask(session, (alice, bob)[n % 2], f"{n}", when="interrupt") for n in range(6)])
    assert not any(isinstance(result, BaseException) for result in results), results
    assert session.messages.running().count() == 1
    assert session.messages.answers().filter(status=Status.CANCELLED).count() == 6
