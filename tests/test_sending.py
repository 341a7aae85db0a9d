"""A question is sent: stored with its answer and its job, once, or refused without a trace."""

import pytest
from django.db import transaction
from django_q.models import OrmQ

from assistant import catalogue
from assistant.lifecycle import asking
from assistant.lifecycle.refusal import Refused
from assistant.models import ChatSession, Message
from assistant.models.message import Status
from tests.acting import answer_of, ask, claimed, finish, jobs, now, queued, statuses
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def test_question_answer_and_job_are_stored_together(session, alice):
    sent = ask(session, alice, "Hello")
    answer = answer_of(sent)
    assert statuses(session) == [("user", "success", "Hello"), ("assistant", "pending", "")]
    assert answer.reply_to == sent.message and answer.job == OrmQ.objects.get().pk
    assert jobs() == [str(answer.pk)] and answer.is_alive()
    assert sent.is_new and sent.message.author == alice and sent.message.finished_at


def test_if_the_transaction_fails_nothing_is_stored_and_nothing_is_told(session, alice, frames):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        ask(session, alice)
        raise ZeroDivisionError
    assert not Message.objects.exists() and not OrmQ.objects.exists() and not frames
    session.refresh_from_db()
    assert session.last_position == 0


def test_the_job_is_the_only_thing_that_names_the_answer_in_the_queue_and_has_no_timeout(session, alice):
    ask(session, alice)
    task = OrmQ.objects.get().task
    assert (task["func"], task["timeout"]) == ("assistant.tasks.admit", -1)


def test_input_is_trimmed(session, alice):
    assert ask(session, alice, " \n Hello \x00\t").message.content == "Hello"


@pytest.mark.parametrize("nothing", ["", "   ", "\n\t ", "\x00", "\x00 \x00", "\u200b", " \ufe0f\u00ad "])
def test_empty_input_is_refused(session, alice, nothing):
    with pytest.raises(Refused) as refusal:
        ask(session, alice, nothing)
    assert (refusal.value.code, refusal.value.status) == ("empty", 422)
    assert not Message.objects.exists()


def test_what_is_too_long_is_refused_with_the_number(session, alice):
    with pytest.raises(Refused, match=r"10,000 characters.*10,001") as refusal:
        ask(session, alice, "x" * 10_001)
    assert (refusal.value.code, refusal.value.status) == ("too_long", 422)
    assert not Message.objects.exists() and not OrmQ.objects.exists()


def test_the_longest_message_is_taken(session, alice):
    assert len(ask(session, alice, "é" * 10_000).message.content) == 10_000


def test_the_limit_is_a_setting(session, alice, settings):
    settings.ASSISTANT_MAX_LENGTH = 3
    with pytest.raises(Refused, match="3 characters"):
        ask(session, alice, "four")


def test_an_unknown_model_is_refused(session, alice):
    with pytest.raises(Refused) as refusal:
        ask(session, alice, model="nobody/knows")
    assert (refusal.value.code, refusal.value.status) == ("invalid_model", 422)
    assert not Message.objects.exists()


@pytest.mark.parametrize(
    ("of_session", "of_message", "chosen"),
    [
        ("", "", "test/model"),
        ("test/other", "", "test/other"),
        ("", "test/other", "test/other"),
        ("test/other", "test/model", "test/model"),
    ],
)
def test_the_message_chooses_the_model_before_the_session_and_the_default(
    session, alice, of_session, of_message, chosen
):
    ChatSession.objects.filter(pk=session.pk).update(model=of_session)
    assert answer_of(ask(session, alice, model=of_message)).model == chosen


def test_the_same_client_id_again_gives_the_same_pair_and_does_nothing_else(session, alice, frames):
    first = ask(session, alice, "Hello", "once")
    told = len(frames)
    again = ask(session, alice, "Hello", "once")
    assert (again.message, again.reply, again.is_new) == (first.message, first.reply, False)
    assert Message.objects.count() == 2 and OrmQ.objects.count() == 1 and len(frames) == told


def test_the_same_client_id_again_gives_the_first_answer_even_after_a_retry(session, alice, worker):
    first = ask(session, alice, "Hello", "once")
    finish(claimed(first.reply, worker))
    asking.retry(now(first.reply))
    assert ask(session, alice, "Hello", "once").reply == first.reply


@pytest.mark.parametrize("waits", [False, True])
def test_the_same_client_id_with_other_words_is_refused_and_does_nothing(session, alice, waits, frames):
    """Race 43: its sender would take the first message for the second."""
    if waits:
        ask(session, alice, "Before")
    first = ask(session, alice, "Hello", "once")
    told, kept = len(frames), Message.objects.count()
    with pytest.raises(Refused) as refused:
        ask(session, alice, "Goodbye", "once")
    assert (refused.value.code, refused.value.status) == ("client_id_used", 409)
    assert (Message.objects.count(), len(frames)) == (kept, told)
    assert ask(session, alice, "  Hello\x00 ", "once").message == first.message, "it is the same as stored"


def test_a_send_that_is_repeated_after_its_message_was_edited_is_no_other(session, alice):
    ask(session, alice, "Before")
    first = ask(session, alice, "Hello", "once").message
    asking.edit(first, "Hello, all")
    assert ask(session, alice, "Hello", "once").message == first


def test_a_client_id_is_its_author_s_own(session, alice, bob):
    ask(session, alice, "Mine", "once")
    assert ask(session, bob, "Mine too", "once").is_new


def test_the_same_client_id_twice_at_once_is_one_message(session, alice):
    for round_ in range(4):
        results = at_once(*[lambda n=round_: ask(session, alice, "Hello", f"once-{n}")] * 3)
        assert sorted(sent.is_new for sent in results) == [False, False, True]
        assert len({sent.message.pk for sent in results}) == 1
    assert session.messages.filter(role="user").count() == 4


def test_two_questions_at_once_in_an_idle_session_one_runs_and_one_waits(session, alice, bob):
    results = at_once(lambda: ask(session, alice, "A"), lambda: ask(session, bob, "B"))
    assert sorted(sent.reply is None for sent in results) == [False, True]
    assert session.messages.running().count() == 1 and len(queued(session)) == 1 and OrmQ.objects.count() == 1
    positions = [sent.message.position for sent in results]
    assert sorted(positions) == [2, 4]


def test_questions_have_even_positions_and_answers_the_next(session, alice, worker):
    for _ in range(3):
        sent = ask(session, alice)
        finish(claimed(sent.reply, worker))
    assert list(session.messages.in_order().values_list("position", "role")) == [
        (2, "user"), (3, "assistant"), (4, "user"), (5, "assistant"), (6, "user"), (7, "assistant"),
    ]  # fmt: skip


def test_messages_of_one_instant_stand_in_order(session, alice, bob, worker):
    for author in (alice, bob, alice):
        finish(claimed(ask(session, author).reply, worker))
    session.messages.update(created_at=session.created_at)
    assert [m.role for m in session.messages.in_order()] == ["user", "assistant"] * 3


def test_two_messages_with_the_same_text_keep_their_own_answers(session, alice, worker):
    first, second = ask(session, alice, "Same"), ask(session, alice, "Same")
    assert first.message != second.message and second.reply is None
    finish(claimed(first.reply, worker), "one")
    answer = now(second.message).replies.get()
    finish(claimed(answer, worker), "two")
    assert [m.replies.get().content for m in (now(first.message), now(second.message))] == ["one", "two"]


def test_nothing_is_sent_to_a_session_that_is_gone(session, alice):
    ChatSession.objects.filter(pk=session.pk).delete()
    with pytest.raises(Refused) as refusal:
        ask(session, alice)
    assert (refusal.value.code, refusal.value.status) == ("not_found", 404)


def test_a_change_of_the_session_s_fields_at_once_with_a_send_loses_neither(session, alice):
    """Race 7: each writes its own columns only."""
    for n in range(5):

        def rename(n=n):
            return ChatSession.objects.filter(pk=session.pk).update(title=f"Title {n}")

        results = at_once(lambda: ask(session, alice), rename)
        assert not any(isinstance(result, BaseException) for result in results), results
        session.refresh_from_db()
        assert (session.title, session.last_position) == (f"Title {n}", 2 * n + 2)


def test_a_stale_copy_of_the_session_overwrites_nothing(session, alice):
    stale = ChatSession.objects.get(pk=session.pk)
    ChatSession.objects.filter(pk=session.pk).update(title="New", model="test/other")
    assert answer_of(ask(stale, alice)).model == "test/other"
    ask(stale, alice)
    session.refresh_from_db()
    assert (session.title, session.last_position) == ("New", 4)


def test_a_finished_question_tells_when_and_its_answer_waits(session, alice):
    answer = answer_of(ask(session, alice))
    assert (answer.status, answer.attempt, answer.started_at, answer.finished_at) == (Status.PENDING, 0, None, None)


@pytest.mark.parametrize("model", ["openai/a b", "openai/a\nb", "gemini/../x", "openai/", "openai/x*"])
def test_a_name_that_no_model_has_is_not_offered_behind_a_pattern(settings, model):
    settings.ASSISTANT_MODELS = [("All", "openai/*"), ("More", "gemini/*")]
    assert not catalogue.offers(model) and catalogue.offers("openai/gpt-5")
