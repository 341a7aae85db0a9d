"""One's last question can be asked anew, in other words; the old one and its answers stay as a version."""

import uuid

import pytest

from assistant.lifecycle import asking, resending
from assistant.lifecycle.refusal import Refused
from assistant.models import Message
from assistant.models.message import Status
from assistant.prompt import context
from tests.acting import answer_of, ask, claimed, finish, now
from tests.calling import Caller, problem
from tests.files import uploaded
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def resend(question, by, content="In other words", client_id=""):
    return resending.resend(question, by, content, client_id or uuid.uuid4().hex)


def said_to_the_model(claim):
    return [line["content"] for line in context.prompt_for(claim).messages if line["role"] != "system"]


def test_the_new_question_takes_the_old_one_s_place_and_nothing_is_deleted(session, alice, worker):
    finish(claimed(answer_of(ask(session, alice, "before")), worker), "fine")
    old = ask(session, alice, "wiht a typo")
    finish(claimed(old.reply, worker), "What?")
    sent = resend(old.message, alice, "without a typo")
    assert now(old.message).superseded_by == sent.message and now(old.reply).content == "What?"
    claim = claimed(sent.reply, worker)
    assert said_to_the_model(claim) == ["before", "fine", "without a typo"]
    finish(claim, "Yes.")
    assert session.messages.count() == 6


def test_it_can_be_done_again_and_again(session, alice, worker):
    first = ask(session, alice, "one")
    finish(claimed(first.reply, worker))
    second = resend(first.message, alice, "two")
    finish(claimed(second.reply, worker))
    third = resend(second.message, alice, "three")
    assert said_to_the_model(claimed(third.reply, worker)) == ["three"]
    with pytest.raises(Refused, match="last question"):
        resend(first.message, alice, "not this one")


def test_an_answer_that_is_being_written_to_it_is_stopped(session, alice, worker):
    old = ask(session, alice, "one")
    claim = claimed(old.reply, worker)
    sent = resend(old.message, alice, "two")
    stopped = now(old.reply)
    assert (stopped.status, stopped.stopped_by) == (Status.CANCELLED, alice)
    assert not finish(claim) and sent.reply.status == Status.PENDING


def test_an_answer_to_an_older_question_is_not_stopped(session, alice, worker):
    first = answer_of(ask(session, alice, "one"))
    finish(claimed(first, worker))
    last = ask(session, alice, "two")
    finish(claimed(last.reply, worker))
    asking.retry(first)
    with pytest.raises(Refused) as refused:
        resend(last.message, alice)
    assert refused.value.code == "session_busy"


@pytest.mark.parametrize("others", ["another has asked", "another waits", "one's own waits"])
def test_not_once_somebody_has_said_more(session, alice, bob, worker, others):
    old = ask(session, alice, "one")
    if others == "another has asked":
        finish(claimed(old.reply, worker))
    ask(session, alice if others == "one's own waits" else bob, "more")
    with pytest.raises(Refused) as refused:
        resend(old.message, alice)
    assert refused.value.code == "not_last" and now(old.message).superseded_by is None


def test_a_withdrawn_message_after_it_does_not_count(session, alice, bob, worker):
    old = ask(session, alice, "one")
    asking.withdraw(ask(session, bob, "never mind").message)
    assert resend(old.message, alice).is_new


def test_a_waiting_question_is_edited_not_resent(session, alice):
    ask(session, alice, "one")
    with pytest.raises(Refused):
        resend(ask(session, alice, "waits").message, alice)


def test_the_same_client_id_again_does_nothing_else(session, alice, worker):
    old = ask(session, alice, "one")
    first = resend(old.message, alice, client_id="same")
    again = resend(old.message, alice, client_id="same")
    assert first.is_new and not again.is_new
    assert (first.message, first.reply) == (again.message, again.reply) and session.messages.count() == 4


def test_the_same_client_id_with_other_words_is_refused(session, alice, worker):
    old = ask(session, alice, "one")
    resend(old.message, alice, client_id="same")
    with pytest.raises(Refused) as refused:
        resend(old.message, alice, "something else", client_id="same")
    assert refused.value.code == "client_id_used" and session.messages.count() == 4


def test_of_two_at_once_one_wins(session, alice, worker):
    old = ask(session, alice, "one")
    finish(claimed(old.reply, worker))
    results = at_once(*[lambda i=i: resend(old.message, alice, f"no. {i}") for i in range(3)])
    won = [result for result in results if not isinstance(result, Exception)]
    assert len(won) == 1, results
    assert {result.code for result in results if isinstance(result, Refused)} == {"not_last"}
    assert Message.objects.filter(superseded_by=None, role="user").count() == 1


def test_what_is_refused_changes_nothing(session, alice, worker):
    old = ask(session, alice, "one")
    for content in ("  ", "x" * 10_001):
        with pytest.raises(Refused):
            resend(old.message, alice, content)
    assert now(old.reply).status == Status.PENDING and now(old.message).superseded_by is None


def test_files_go_along(session, alice, worker):
    attachment = uploaded(alice, session=session)
    old = asking.send(session, alice, "Read this", uuid.uuid4().hex, attachments=[attachment.pk])
    sent = resend(old.message, alice, "Read that")
    assert [a.file_id for a in sent.message.attachments.all()] == [attachment.file_id]
    assert old.message.attachments.count() == 1


def test_viewers_are_told(session, alice, frames):
    old = ask(session, alice, "one")
    frames.clear()
    sent = resend(old.message, alice)
    told = [frame["message"] for frame in frames if "message" in frame]
    assert [m["superseded_by"] for m in told if m["id"] == str(old.message.pk)] == [str(sent.message.pk)]
    assert frames[-2]["type"] == "session.updated" and frames[-2]["session"]["running"]


def test_an_answer_to_the_old_question_can_t_be_had_again(session, alice, worker):
    old = ask(session, alice, "one")
    finish(claimed(old.reply, worker))
    finish(claimed(resend(old.message, alice).reply, worker))
    with pytest.raises(Refused, match="asked anew"):
        asking.retry(old.reply)


def test_the_endpoint(session, alice, bob, worker):
    old = ask(session, alice, "one")
    call, path = Caller(alice), f"/messages/{old.message.pk}/resend"
    body = {"client_id": "c", "content": "two"}
    first, again = call("post", path, body), call("post", path, body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["reply"]["id"] == again.json()["reply"]["id"]
    problem(call("post", path, {"client_id": "d", "content": "x"}), 409, "not_last")
    problem(call("post", path, {"content": "x"}), 422, "invalid")
    answer = first.json()["reply"]["id"]
    problem(call("post", f"/messages/{answer}/resend", body), 403, "not_yours")
