"""What the model is sent: whole pairs of the history before the question, and nothing that waits."""

import dataclasses
import uuid

import pytest

from assistant.lifecycle import answering, asking, recovery, session_changes
from assistant.models import Message
from assistant.prompt import context
from tests.acting import answer_of, ask, claimed, fail, finish, kill, now

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def exchange(session, worker):
    """`exchange(author, question, answer)`: asked and answered."""

    def happen(author, question, answer):
        sent = ask(session, author, question)
        finish(claimed(answer_of(sent), worker), answer)
        return sent

    return happen


def prompt(session, author, worker, question="Now?"):
    sent = ask(session, author, question)
    return context.prompt_for(claimed(answer_of(sent), worker))


def said(found, system=False):
    """Without the system message, unless it is asked for."""
    return [(line["role"], line["content"]) for line in found.messages if system or line["role"] != "system"]


def test_a_first_question_is_sent_alone(session, alice, worker):
    found = prompt(session, alice, worker, "Hello")
    assert (found.model, said(found)) == ("test/model", [("user", "Hello")])


def test_the_history_alternates_in_order(session, alice, worker, exchange):
    exchange(alice, "1", "one")
    exchange(alice, "2", "two")
    session.messages.update(created_at=session.created_at)
    assert said(prompt(session, alice, worker, "3")) == [
        ("user", "1"), ("assistant", "one"), ("user", "2"), ("assistant", "two"), ("user", "3"),
    ]  # fmt: skip


def test_where_several_have_spoken_each_question_names_its_author(session, alice, bob, worker, exchange):
    exchange(alice, "1", "one")
    assert said(prompt(session, bob, worker, "2")) == [
        ("user", "alice: 1"), ("assistant", "one"), ("user", "bob: 2"),
    ]  # fmt: skip


def test_a_full_name_is_what_the_model_reads(session, alice, bob, worker, exchange):
    bob.first_name, bob.last_name = "Bob", "Builder"
    bob.save()
    exchange(alice, "1", "one")
    assert said(prompt(session, bob, worker))[-1] == ("user", "Bob Builder: Now?")


def test_the_question_of_a_deleted_user_has_no_name_and_breaks_nothing(session, alice, bob, worker, exchange):
    exchange(bob, "1", "one")
    bob.delete()
    assert said(prompt(session, alice, worker))[0] == ("user", "1")


def test_questions_that_wait_or_were_withdrawn_are_not_sent(session, alice, bob, worker):
    """Race 13: nothing queued lands in what the provider is sent."""
    claim = claimed(answer_of(ask(session, alice, "first")), worker)
    ask(session, bob, "waiting")
    asking.withdraw(ask(session, bob, "withdrawn").message)
    assert said(context.prompt_for(claim)) == [("user", "first")]


def test_what_was_withdrawn_is_not_sent_later_either(session, alice, worker):
    claim = claimed(answer_of(ask(session, alice, "1")), worker)
    asking.withdraw(ask(session, alice, "withdrawn").message)
    finish(claim, "one")
    assert said(prompt(session, alice, worker, "2")) == [("user", "1"), ("assistant", "one"), ("user", "2")]


def test_what_was_asked_later_is_not_sent_with_a_retry_of_something_earlier(session, alice, worker, exchange):
    first = exchange(alice, "1", "one")
    exchange(alice, "2", "two")
    claim = claimed(asking.retry(now(first.reply)), worker)
    assert said(context.prompt_for(claim)) == [("user", "1")]


def test_of_several_answers_the_newest_with_text_is_sent(session, alice, worker, exchange):
    first = exchange(alice, "1", "old")
    finish(claimed(asking.retry(now(first.reply)), worker), "new")
    fail(claimed(asking.retry(now(first.reply)), worker), " \n ")
    assert said(prompt(session, alice, worker, "2")) == [("user", "1"), ("assistant", "new"), ("user", "2")]


def test_the_partial_text_of_a_failed_or_stopped_answer_is_sent(session, alice, worker):
    fail(claimed(answer_of(ask(session, alice, "1")), worker), "half of one")
    stopped = answer_of(ask(session, alice, "2"))
    claim = claimed(stopped, worker)
    answering.checkpoint({claim: answering.Written("half of two", 1)})
    asking.cancel(stopped, alice)
    assert said(prompt(session, alice, worker, "3")) == [
        ("user", "1"), ("assistant", "half of one"), ("user", "2"), ("assistant", "half of two"), ("user", "3"),
    ]  # fmt: skip


def test_an_answer_without_text_leaves_its_question(session, alice, worker):
    fail(claimed(answer_of(ask(session, alice, "1")), worker))
    assert said(prompt(session, alice, worker, "2")) == [("user", "1"), ("user", "2")]


def test_the_text_of_an_earlier_attempt_is_not_sent_as_an_answer(session, alice, worker):
    """Race 19: who takes over finds the question, and begins anew."""
    answer = answer_of(ask(session, alice, "Hello"))
    claim = claimed(answer, worker)
    answering.checkpoint({claim: answering.Written("half", 1)})
    kill(worker)
    recovery.sweep()
    again = claimed(answer, worker)
    assert said(context.prompt_for(again)) == [("user", "Hello")]


def test_an_edited_question_is_sent_as_edited(session, alice, bob, worker):
    claim = claimed(answer_of(ask(session, alice, "1")), worker)
    asking.edit(ask(session, bob, "old").message, "new")
    finish(claim, "one")
    found = context.prompt_for(claimed(session.messages.running().get(), worker))
    assert said(found)[-1] == ("user", "bob: new")


def test_the_system_prompt_comes_first(session, alice, worker, settings):
    settings.ASSISTANT_SYSTEM_PROMPT = "Be kind."
    found = prompt(session, alice, worker, "1")
    assert said(found, system=True) == [("system", "Be kind."), ("user", "1")]


def test_the_answer_s_own_model_is_asked(session, alice, worker):
    answer = answer_of(ask(session, alice, model="test/other"))
    assert context.prompt_for(claimed(answer, worker)).model == "test/other"


def test_of_a_deleted_message_there_is_nothing_to_send(session, alice, worker):
    claim = claimed(answer_of(ask(session, alice)), worker)
    session_changes.delete(session)
    assert context.prompt_for(claim) is None
    assert context.prompt_for(dataclasses.replace(claim, message_id=uuid.uuid4())) is None


def test_another_session_s_history_is_not_sent(session, alice, worker, exchange):
    from assistant.models import ChatSession

    exchange(alice, "secret", "hidden")
    other = ChatSession.objects.create()
    assert said(prompt(other, alice, worker, "Hello")) == [("user", "Hello")]
    assert Message.objects.filter(session=other).count() == 2


def test_a_prompt_takes_as_few_queries_whatever_was_said(session, alice, bob, worker, django_assert_num_queries):
    """Each message read anew, one at a time, would make a long session's first word wait."""
    for number in range(5):
        finish(claimed(answer_of(ask(session, bob if number % 2 else alice, f"{number}")), worker), "said")
    claim = claimed(answer_of(ask(session, alice, "And?")), worker)
    with django_assert_num_queries(2):
        assert len(context.prompt_for(claim).messages) == 12  # and the system's
