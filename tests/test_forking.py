"""A fork is a session of one's own that begins as another one stood at a message."""

import time
import uuid

import pytest

from assistant.lifecycle import answering, asking, forking, resending, session_changes
from assistant.lifecycle.answering import Written
from assistant.lifecycle.refusal import Refused
from assistant.models import ChatSession, Message, Participant, SystemPrompt
from assistant.models.message import MessageRole, Status
from assistant.models.participant import Role
from assistant.models.session import UNTITLED
from assistant.models.tool_call import ToolCall
from assistant.prompt import context
from tests.acting import answer_of, ask, claimed, fail, finish, now, statuses
from tests.calling import Caller
from tests.files import uploaded
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def answered(session, author, worker, question, answer):
    reply = answer_of(ask(session, author, question))
    finish(claimed(reply, worker), answer)
    return now(reply)


def test_it_has_everything_up_to_the_message_and_nothing_after(session, alice, bob, worker):
    first = answered(session, alice, worker, "one", "first")
    answered(session, bob, worker, "two", "second")
    fork = forking.fork(first, bob).session
    assert statuses(fork) == [("user", "success", "one"), ("assistant", "success", "first")]
    question, answer = fork.messages.in_order()
    assert (question.author, answer.reply_to) == (alice, question)
    assert (answer.created_at, answer.model, answer.html) == (first.created_at, first.model, first.html)
    assert len(statuses(session)) == 4


def test_it_is_its_maker_s_alone_and_says_where_it_comes_from(session, alice, vera, worker):
    answer = answered(session, alice, worker, "one", "first")
    fork = forking.fork(answer, vera).session
    assert list(fork.participants.values_list("user__username", "role")) == [("vera", Role.OWNER)]
    assert fork.title == "Fork of A room"
    ChatSession.objects.filter(pk=session.pk).update(title="x" * 200)
    assert len(forking.fork(answer, vera).session.title) == 200


def test_it_goes_on_from_there(session, alice, bob, worker):
    answer = answered(session, alice, worker, "one", "first")
    answered(session, alice, worker, "two", "second")
    fork = forking.fork(answer, bob).session
    claim = claimed(answer_of(ask(fork, bob, "and now?")), worker)
    contents = [line["content"] for line in context.prompt_for(claim).messages if line["role"] != "system"]
    assert contents == ["alice: one", "first", "bob: and now?"]
    finish(claim)
    assert [m.position for m in fork.messages.in_order()] == [2, 3, 4, 5]


def test_of_the_last_answer_it_has_the_version_it_was_made_from(session, alice, worker):
    first = answered(session, alice, worker, "one", "first")
    earlier = answered(session, alice, worker, "two", "an earlier version")
    finish(claimed(asking.retry(earlier), worker), "a later version")
    finish(claimed(asking.retry(first), worker), "first again")
    fork = forking.fork(earlier, alice).session
    assert [content for _, _, content in statuses(fork)] == [
        "one",
        "first",
        "first again",
        "two",
        "an earlier version",
    ]


def test_from_a_question_it_has_no_answer_yet(session, alice, worker):
    answer = answered(session, alice, worker, "one", "first")
    fork = forking.fork(answer.reply_to, alice).session
    assert statuses(fork) == [("user", "success", "one")]
    assert asking.retry(fork.messages.get()).position == 3


def test_failed_and_stopped_answers_come_along_what_waits_or_was_withdrawn_does_not(session, alice, worker):
    fail(claimed(answer_of(ask(session, alice, "one")), worker), "As far")
    stopped = answer_of(ask(session, alice, "two"))
    asking.withdraw(ask(session, alice, "gone").message)
    asking.cancel(stopped, alice)
    last = answered(session, alice, worker, "three", "third")
    ask(session, alice, "four")
    ask(session, alice, "waits")
    fork = forking.fork(last, alice).session
    assert [(status, content) for _, status, content in statuses(fork)] == [
        ("success", "one"), ("error", "As far"), ("success", "two"), ("cancelled", ""), ("success", "three"),
        ("success", "third"),
    ]  # fmt: skip


def test_nothing_is_made_of_what_has_not_ended(session, alice, worker):
    sent = ask(session, alice)
    waiting = ask(session, alice, "waits").message
    for message in (sent.reply, waiting):
        with pytest.raises(Refused, match="not ended yet"):
            forking.fork(message, alice)
    asking.withdraw(waiting)
    with pytest.raises(Refused, match="withdrawn"):
        forking.fork(waiting, alice)
    assert ChatSession.objects.count() == 1


def test_the_settings_come_along(session, alice, worker):
    settings = {
        "model": "test/other", "system_prompt": "Be brief.", "parameters": {"temperature": 0.5}, "replies": "mention",
        "when_busy": "steer", "services": ["web"],
    }  # fmt: skip
    ChatSession.objects.filter(pk=session.pk).update(**settings | {"replies": "every"})
    answer = answered(session, alice, worker, "one", "first")
    ChatSession.objects.filter(pk=session.pk).update(**settings)
    fork = forking.fork(answer, alice).session
    assert {name: getattr(fork, name) for name in settings} == settings
    copied = fork.messages.get(role=MessageRole.ASSISTANT)
    assert (copied.system_prompt.text, copied.system_prompt.session) == ("Be brief.", fork)
    session.delete()
    copied.refresh_from_db()
    assert copied.system_prompt.text == "Be brief." and SystemPrompt.objects.count() == 1


def test_each_field_of_a_session_is_a_setting_or_begins_anew():
    """Whoever adds a field says here whether a fork takes it along."""
    anew = {
        "id", "title", "titled_by", "title_tries", "version", "said", "last_position", "queue_paused_until",
        "queue_paused_for", "created_at", "updated_at",
    }  # fmt: skip
    assert {field.name for field in ChatSession._meta.concrete_fields} == anew | set(forking.SETTINGS)


def test_it_costs_nothing_and_a_repeated_send_does_not_find_the_copy(session, alice, worker):
    answer = answer_of(ask(session, alice, "one", client_id="same"))
    finish(claimed(answer, worker), "first")
    fork = forking.fork(now(answer), alice).session
    assert [(m.usage, m.charged_to, m.client_id) for m in fork.messages.all()] == [(None, None, None)] * 2
    assert asking.send(fork, alice, "two", "same").is_new


def test_files_and_tool_calls_come_along(session, alice, bob, worker):
    attachment = uploaded(alice, session=session)
    sent = asking.send(session, alice, "Read this", uuid.uuid4().hex, attachments=[attachment.pk])
    ToolCall.objects.create(
        message=sent.reply, round=1, place=0, at=0, call_id="c", name="clock", title="Looks", status="success",
        result="noon",
    )  # fmt: skip
    Message.objects.filter(pk=sent.reply.pk).update(rounds=1)
    finish(claimed(sent.reply, worker), "It says so")
    fork = forking.fork(now(sent.reply), bob).session
    question, answer = fork.messages.in_order()
    [copied] = question.attachments.all()
    assert (copied.file, copied.name, copied.session) == (attachment.file, attachment.name, fork)
    assert [(call.name, call.result) for call in answer.tool_calls.all()] == [("clock", "noon")]
    session.delete()
    assert copied.file.attachments.count() == 1


def test_a_question_that_was_asked_anew_is_still_a_version_there(session, alice, worker):
    old = answered(session, alice, worker, "one", "first")
    sent = resending.resend(old.reply_to, alice, "one, better", uuid.uuid4().hex)
    finish(claimed(sent.reply, worker), "better")
    fork = forking.fork(now(sent.reply), alice).session
    old_copy, _, new_copy, _ = fork.messages.in_order()
    assert old_copy.superseded_by == new_copy
    from_old = forking.fork(now(old), alice).session
    assert [m.superseded_by for m in from_old.messages.all()] == [None, None]


def test_thousands_of_messages_in_one_go(session, alice, bob, django_assert_max_num_queries):
    rows = []
    for i in range(1, 2501):
        question = Message(
            session=session,
            role=MessageRole.USER,
            author=alice,
            content=f"question {i}",
            status=Status.SUCCESS,
            position=2 * i,
        )
        rows += [question, Message(session=session, role=MessageRole.ASSISTANT, reply_to=question, content=f"answer {i}",
                                   status=Status.SUCCESS, position=2 * i + 1)]  # fmt: skip
    Message.objects.bulk_create(rows, batch_size=500)
    began = time.monotonic()
    with django_assert_max_num_queries(400):
        fork = forking.fork(rows[-1], bob).session
    assert time.monotonic() - began < 30
    assert fork.messages.count() == 5000
    assert not fork.messages.exclude(reply_to=None).exclude(reply_to__session=fork).exists()


@pytest.fixture
def between_parts(monkeypatch):
    """Makes parts of two messages; what is given is done after the first of them, by somebody else."""

    def give(action):
        def copy_then_act(*arguments):
            copy_messages(*arguments)
            monkeypatch.setattr(forking, "_copy_messages", copy_messages)
            (came,) = at_once(action)
            assert not isinstance(came, Exception), came

        monkeypatch.setattr(forking, "_copy_messages", copy_then_act)

    copy_messages = forking._copy_messages
    monkeypatch.setattr(forking, "BATCH", 2)
    return give


def test_while_a_long_session_is_copied_nobody_waits_and_nobody_sees_a_part_of_it(
    session, alice, bob, worker, between_parts
):
    answered(session, alice, worker, "one", "first")
    second = answered(session, alice, worker, "two", "second")

    def meanwhile():
        assert Participant.objects.exclude(session=session).count() == 0
        finish(claimed(answer_of(ask(session, bob, "three")), worker), "third")

    between_parts(meanwhile)
    fork = forking.fork(second, alice).session
    assert [text for _, _, text in statuses(fork)] == ["one", "first", "two", "second"]
    assert [text for _, _, text in statuses(session)][-1] == "third"


def test_nothing_remains_of_a_fork_whose_source_is_deleted_meanwhile(session, alice, worker, between_parts):
    answered(session, alice, worker, "one", "first")
    second = answered(session, alice, worker, "two", "second")
    between_parts(lambda: session_changes.delete(session))
    with pytest.raises(Refused, match="has been deleted"):
        forking.fork(second, alice)
    assert not ChatSession.objects.exists()


def test_it_stands_in_one_s_list_with_nothing_unread(session, alice, worker, frames):
    answer = answered(session, alice, worker, "one", "first")
    body = Caller(alice)("post", f"/messages/{answer.pk}/fork").json()
    assert (body["role"], body["yours"]["unread"], body["title"]) == ("owner", 0, "Fork of A room")
    assert body["title"] != UNTITLED and Participant.objects.filter(session=body["id"]).count() == 1
    assert body["id"] in [entry["id"] for entry in Caller(alice)("get", "/sessions").json()["sessions"]]


def test_a_checkpoint_of_another_answer_does_not_leak_in(session, alice, worker):
    done = answered(session, alice, worker, "one", "first")
    claim = claimed(answer_of(ask(session, alice, "two")), worker)
    answering.checkpoint({claim: Written("half", 1)})
    assert "half" not in str(statuses(forking.fork(done, alice).session))
