"""What a model thinks, where it thinks again: in a later attempt, in another round, after a try in vain."""

from __future__ import annotations

import pytest

from assistant import llm
from assistant.lifecycle import answering, asking, recovery, rounds, session_changes
from assistant.lifecycle.joining import snapshot
from assistant.models import UsageRecord
from assistant.presentation.wire import message_json
from assistant.text.reasoned import Reasoned
from assistant.tools import Service
from assistant.worker import retries
from tests.acting import FAILURE, answer_of, ask, claimed, kill, now, write
from tests.client_state import ClientState
from tests.reasoning import THOUGHTS, follow, says, thinking, thought, written_by
from tests.rounds import offer, run_turn

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),  # litellm trips over its own
]


# --- other attempts ---


def test_a_later_attempt_thinks_anew_and_viewers_are_told(answer, claim, worker, session, alice, frames):
    viewer = ClientState(snapshot(session.pk, alice))
    answering.hand_over(claim, thinking("It was so"))
    assert (now(answer).reasoning, now(answer).interruptions) == ("It was so", 1)
    second = claimed(answer, worker)
    [reset] = [frame for frame in frames if frame["type"] == "message.reset"]
    assert reset["reasoning"] is None and second.reasoned is None and now(answer).reasoning == ""
    assert follow(viewer, frames).messages[str(answer.pk)]["reasoning"] is None


def test_it_begins_again_behind_the_last_stored_round(answer, claim, worker, frames, loop):
    call = rounds.NewCall("c", "look", "{}", "Look")
    assert rounds.open_round(claim, thinking("I need to look.", 2, 1.5, "Let me look.", 1), 1, [call])
    answering.checkpoint({claim: thinking("I need to look.\n\nWhat is", 3, 2.5, "Let me look.", 1)})
    kill(worker)
    assert recovery.recover(now(answer)) == "recovered"
    second = claimed(answer, worker)
    [reset] = [frame for frame in frames if frame["type"] == "message.reset"]
    assert reset["reasoning"] == thought("I need to look.", 0)
    assert message_json(now(answer))["tool_calls"][0]["reasoning_at"] == len("I need to look.")

    async def act(fresh):
        fresh.reason(" \nWhat is it?")
        fresh.write("It is")

    written = written_by(loop, second, act)
    assert written.reasoned.content == "I need to look.\n\nWhat is it?" and written.reasoned.seq == 1
    assert written.reasoned.seconds >= 1.5


@pytest.mark.parametrize("end", ["fail", "abandon", "stop"])
def test_an_ending_without_a_better_text_keeps_it_with_what_was_thought_for_it(
    answer, claim, worker, alice, end, settings
):
    answering.hand_over(claim, thinking("Long thoughts", 3, 4.5, "A long text", 2))
    second = claimed(answer, worker)
    if end == "abandon":
        settings.ASSISTANT_MAX_ATTEMPTS = 1
        answering.checkpoint({second: thinking("Short", 1, 0.5, "A", 1)})
        kill(worker)
        recovery.recover(now(answer))
    elif end == "stop":
        write(second, "A", 1, Reasoned("Short", 1, 1.5))
        asking.cancel(now(answer), alice)
    else:
        assert answering.fail(second, thinking("Short", 1, 0.5, "A", 1), FAILURE)
    ended = now(answer)
    assert (ended.content, ended.reasoning, ended.reasoning_seconds) == ("A long text", "Long thoughts", 4.5)
    assert ended.reasoning_salvage is None and ended.salvage == ""


def test_a_success_keeps_its_own(answer, claim, worker):
    answering.hand_over(claim, thinking("Long thoughts", 3, 4.5, "A long text", 2))
    assert answering.succeed(claimed(answer, worker), thinking("Short", 1, 0.5, "A", 1), None)
    ended = now(answer)
    assert (ended.content, ended.reasoning, ended.reasoning_salvage) == ("A", "Short", None)


def test_a_late_worker_changes_nothing_of_it(answer, claim, worker):
    answering.hand_over(claim, thinking("old"))
    second = claimed(answer, worker)
    assert answering.checkpoint({claim: thinking("late", 9)}) == {claim}
    assert answering.checkpoint({second: thinking("new", 1)}) == set() and now(answer).reasoning == "new"


# --- rounds, and tries in vain ---


def test_the_thoughts_of_all_rounds_are_kept_and_stand_apart(
    asked_here, session, alice, worker, loop, settings, monkeypatch
):
    kit = Service("kit", title="Kit", description="For tests.")

    @kit.tool(title="Look", timeout=5)
    def look() -> str:
        """Looks."""
        return "noon"

    offer(settings, monkeypatch, kit)
    session_changes.change(session, services=["kit"])
    answer = answer_of(ask(session, alice, model="openai/words-n3-think=2-tool=look"))
    run_turn(loop, claimed(answer, worker))
    ended = now(answer)
    assert (ended.status, ended.reasoning) == ("success", "r0 r1\n\nr0 r1")
    assert [call.reasoning_at for call in ended.tool_calls.all()] == [len("r0 r1")]


@pytest.fixture
def impatient(settings, monkeypatch):
    monkeypatch.setattr(retries, "FIRST_PAUSE_SECONDS", 0.0)
    settings.ASSISTANT_RETRIES = 2
    settings.ASSISTANT_FALLBACK_MODELS = []


BUSY = llm.ModelError("provider_error", "busy", is_transient=True)
BROKEN = llm.ModelError("provider_error", "broken")


def test_a_model_that_failed_while_it_thought_is_asked_again(answer, claim, monkeypatch, loop, frames, impatient):
    """Nothing of the answer was said. What was thought stays, once, apart from what is thought then."""
    says(monkeypatch, [*THOUGHTS, BUSY], [llm.Reasoning("Once more."), llm.Text("Fine."), llm.Finish("stop")])
    run_turn(loop, claim)
    ended = now(answer)
    assert (ended.status, ended.content) == ("success", "Fine.")
    assert ended.reasoning == "First I look at it.\n\nOnce more."
    told = [frame["text"] for frame in frames if frame["type"] == "message.reasoning_delta"]
    assert "".join(told) == ended.reasoning


def test_another_model_is_asked_where_one_only_thought(answer, claim, monkeypatch, loop, impatient, settings):
    settings.ASSISTANT_FALLBACK_MODELS = ["test/other"]
    says(monkeypatch, [*THOUGHTS, BROKEN], [llm.Text("Fine."), llm.Finish("stop")])
    run_turn(loop, claim)
    ended = now(answer)
    assert (ended.model, ended.content, ended.reasoning) == ("test/other", "Fine.", "First I look at it.")


def test_a_model_that_was_heard_to_think_has_got_the_question(answer, claim, monkeypatch, loop, impatient):
    says(monkeypatch, [*THOUGHTS, BROKEN])
    run_turn(loop, claim)
    ended = now(answer)
    assert (ended.status, ended.reasoning, ended.is_bounced) == ("error", "First I look at it.", False)


def test_what_it_thought_until_it_broke_is_charged(answer, claim, monkeypatch, loop, impatient):
    says(monkeypatch, [llm.Reasoning("x" * 400), BROKEN])
    run_turn(loop, claim)
    assert UsageRecord.objects.get(message_id=answer.pk).completion_tokens == 100


def test_what_a_dead_worker_s_model_thought_is_charged(answer, claim, worker):
    answering.checkpoint({claim: thinking("x" * 400)})
    kill(worker)
    recovery.recover(now(answer))
    assert UsageRecord.objects.get(message_id=answer.pk).completion_tokens == 100


def test_a_model_that_only_counted_the_question_has_not_begun_to_answer(answer, claim, monkeypatch, loop, impatient):
    """Anthropic's streams begin with what the prompt has cost, and may end there: overloaded."""
    says(monkeypatch, [llm.Usage({"prompt_tokens": 10}), BROKEN])
    run_turn(loop, claim)
    assert (now(answer).status, now(answer).is_bounced) == ("error", True)
