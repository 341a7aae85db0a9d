"""System prompt, model and parameters: per session, changed by several people at once, recorded with each answer."""

import pytest

from assistant.lifecycle import asking, recovery, session_changes
from assistant.models import ChatSession, SystemPrompt
from assistant.prompt import context
from tests.acting import answer_of, ask, claimed, fail, finish, kill, now, revive, running
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def system(claim):
    first = context.prompt_for(claim).messages[0]
    return first["content"] if first["role"] == "system" else None


def test_an_answer_is_asked_for_with_the_session_s_settings(session, alice, worker, settings):
    settings.ASSISTANT_SYSTEM_PROMPT = "House rules."
    session_changes.change(session, system_prompt=" Be brief. ", parameters={"temperature": 0.5, "max_tokens": 100})
    claim = claimed(answer_of(ask(session, alice)), worker)
    assert context.prompt_for(claim).parameters == {"temperature": 0.5, "max_tokens": 100}
    assert system(claim) == "House rules.\n\nBe brief."


def test_a_later_change_rewrites_neither_the_past_nor_what_is_being_written(session, alice, worker):
    session_changes.change(session, system_prompt="old", parameters={"temperature": 0})
    answer = answer_of(ask(session, alice))
    claimed(answer, worker)
    session_changes.change(session, system_prompt="new", parameters={"temperature": 1}, model="test/new")
    kill(worker)
    recovery.sweep()
    revive(worker)
    claim = claimed(answer, worker)
    assert (system(claim), context.prompt_for(claim).parameters, now(answer).model) == (
        "old", {"temperature": 0}, "test/model",
    )  # fmt: skip
    fail(claim)
    session_changes.change(session, system_prompt="")
    assert now(answer).system_prompt.text == "old"


def test_a_retry_and_what_waited_use_the_present_settings(session, alice, worker):
    first = answer_of(ask(session, alice))
    claim = claimed(first, worker)
    waited = ask(session, alice).message
    session_changes.change(session, system_prompt="new", parameters={"top_p": 0.3})
    finish(claim)
    promoted = running(session)
    assert promoted.reply_to == waited and promoted.parameters == {"top_p": 0.3}
    finish(claimed(promoted, worker))
    again = asking.retry(now(first))
    assert (again.parameters, again.system_prompt.text) == ({"top_p": 0.3}, "new")
    assert (now(first).parameters, now(first).system_prompt) == ({}, None)


def test_each_text_of_a_system_prompt_is_stored_once(session, alice, worker):
    for text in ("one", "one", "two", "one", ""):
        session_changes.change(session, system_prompt=text)
        finish(claimed(answer_of(ask(session, alice)), worker))
    assert sorted(SystemPrompt.objects.values_list("text", flat=True)) == ["one", "two"]
    used = [answer.system_prompt and answer.system_prompt.text for answer in session.messages.answers().in_order()]
    assert used == ["one", "one", "two", "one", None]


def test_a_parameter_is_set_alone_and_taken_back_alone(session):
    session_changes.change(session, parameters={"temperature": 0.5})
    session_changes.change(session, parameters={"top_p": 0.9})
    assert session.parameters == {"temperature": 0.5, "top_p": 0.9}
    session_changes.change(session, parameters={"temperature": None})
    session.refresh_from_db()
    assert session.parameters == {"top_p": 0.9}


def test_changes_of_different_things_at_once_all_last(session, alice, bob):
    """Race 7: nobody writes back what they had not changed; a message sent meanwhile keeps its place."""
    copies = [ChatSession.objects.get(pk=session.pk) for _ in range(6)]
    results = at_once(
        lambda: session_changes.change(copies[0], system_prompt="prompt"),
        lambda: session_changes.change(copies[1], model="test/model"),
        lambda: session_changes.change(copies[2], parameters={"temperature": 0.1}),
        lambda: session_changes.change(copies[3], parameters={"top_p": 0.2}),
        lambda: session_changes.change(copies[4], replies="mention", when_busy="steer"),
        lambda: session_changes.change(copies[5], title="Title"),
        lambda: ask(session, alice, "@assistant one"),
        lambda: ask(session, bob, "@assistant two"),
    )
    assert not any(isinstance(result, BaseException) for result in results), results
    session.refresh_from_db()
    assert (session.system_prompt, session.model, session.title) == ("prompt", "test/model", "Title")
    assert session.parameters == {"temperature": 0.1, "top_p": 0.2}
    assert (session.replies, session.when_busy, session.last_position) == ("mention", "steer", 4)


def test_everyone_is_told_of_a_change(session, frames):
    session_changes.change(session, system_prompt="Be kind.", when_busy="interrupt", parameters={"temperature": 1})
    [frame] = frames
    told = frame["session"]
    assert frame["type"] == "session.updated" and told["version"] == session.version
    assert (told["system_prompt"], told["when_busy"], told["replies"], told["parameters"]) == (
        "Be kind.", "interrupt", "every", {"temperature": 1},
    )  # fmt: skip


def test_a_pause_says_which_failure_it_is_for(session, alice, bob, worker):
    answer = answer_of(ask(session, alice))
    claim = claimed(answer, worker)
    ask(session, bob)
    fail(claim)
    session.refresh_from_db()
    assert session.queue_paused_for == {
        "message": str(answer.pk), "code": "provider_error", "detail": "The model's provider had a problem.",
    }  # fmt: skip
