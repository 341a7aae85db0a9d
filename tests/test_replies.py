"""A session in which the AI speaks only when it is mentioned: people talk among themselves, and it knows what they said."""

import pytest

from assistant.lifecycle import asking, session_changes
from assistant.models import ChatSession
from assistant.models.message import Status
from assistant.prompt import context
from tests.acting import answer_of, ask, claimed, finish, jobs, now, queued, running

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def session(session, settings):
    settings.ASSISTANT_MODELS = [("Test Model", "test/model")]
    ChatSession.objects.filter(pk=session.pk).update(replies="mention")
    session.refresh_from_db()
    return session


def said(claim):
    return [(line["role"], line["content"]) for line in context.prompt_for(claim).messages]


def test_a_message_without_a_mention_is_said_and_not_answered(session, bob, frames):
    sent = ask(session, bob, "Did you see this?")
    assert (sent.message.status, sent.reply) == (Status.SUCCESS, None)
    assert jobs() == [] and not session.messages.answers().exists()
    assert [frame["type"] for frame in frames] == ["message.created", "session.updated"]
    assert frames[0]["message"]["alive"] is False


@pytest.mark.parametrize("content", ["@assistant, did you?", "Did you, @test model?", "@Test-Model"])
def test_a_mention_is_answered(session, bob, content):
    assert ask(session, bob, content).reply is not None


def test_the_label_of_the_model_that_was_chosen_counts(session, bob, settings):
    settings.ASSISTANT_MODELS = [("Test Model", "test/model"), ("Other", "test/other")]
    assert ask(session, bob, "@other?").reply is None
    assert ask(session, bob, "@other?", model="test/other").reply is not None


def test_people_talk_on_while_an_answer_is_written_and_nobody_waits(session, alice, bob, worker):
    answer = answer_of(ask(session, alice, "@assistant write"))
    waits = ask(session, bob, "@assistant and then this").message
    for n in range(40):  # more than may wait
        sent = ask(session, bob, f"talk {n}", when="interrupt" if n % 2 else "")
        assert (sent.message.status, sent.message.when, sent.reply) == (Status.SUCCESS, "", None)
    assert running(session) == answer and queued(session) == ["@assistant and then this"]
    order = list(session.messages.filter(role="user").in_order().values_list("content", flat=True))
    assert order[0] == "@assistant write" and order[-1] == "@assistant and then this", "what waits stands last"
    assert now(waits).position > now(waits).session.messages.get(content="talk 39").position


def test_the_next_answer_is_told_all_of_it_with_names(session, alice, bob, worker):
    claim = claimed(answer_of(ask(session, alice, "@assistant 1")), worker)
    ask(session, bob, "@assistant 2")
    ask(session, alice, "by the way")
    assert said(claim)[-1] == ("user", "@assistant 1"), "what was said later is not told earlier"
    finish(claim, "one")
    claim = claimed(running(session), worker)
    system, *lines = said(claim)
    assert lines == [
        ("user", "alice: @assistant 1"), ("assistant", "one"), ("user", "alice: by the way"), ("user", "bob: @assistant 2"),
    ]  # fmt: skip
    assert system == ("system", f"{context.SEVERAL_PEOPLE}\n\n{context.ONLY_WHEN_MENTIONED}")


def test_a_message_that_was_not_answered_can_be_answered_later(session, alice, bob, worker):
    message = ask(session, bob, "What is a lease?").message
    answer = asking.retry(message)
    assert answer.reply_to == message
    assert said(claimed(answer, worker)) == [("user", "What is a lease?")]


def test_what_waits_stays_a_question_when_the_mode_changes_or_the_mention_goes(session, alice, bob, worker):
    claim = claimed(answer_of(ask(session, alice, "@assistant 1")), worker)
    waits = ask(session, bob, "@assistant 2").message
    asking.edit(waits, "2")
    finish(claim)
    assert running(session).reply_to == waits
    session_changes.change(session, replies="every")
    assert ask(session, bob, "3").message.status == Status.PENDING


def test_the_same_client_id_again_is_one_message(session, bob):
    first, again = (ask(session, bob, "talk", client_id="x") for _ in range(2))
    assert (again.message, again.reply, again.is_new) == (first.message, None, False)


def test_mentioned_people_are_noted_also_after_an_edit(session, alice, bob, vera, charlie):
    message = ask(session, alice, "@bob and @Vera, not @charlie, see `@alice`").message
    assert now(message).mentions == [bob.pk, vera.pk]
    ask(session, alice, "@assistant go")
    waits = ask(session, alice, "@assistant @bob").message
    assert now(asking.edit(waits, "@assistant @vera")).mentions == [vera.pk]
