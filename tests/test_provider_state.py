"""What a model wants back with its calls: stored with the round, given back unchanged to it alone, and seen by nobody."""

from __future__ import annotations

import json

import pytest

from assistant import llm
from assistant.lifecycle import answering, forking, rounds
from assistant.lifecycle.text_columns import Written
from assistant.llm.dialect import adapted
from assistant.llm.pieces import Finish, ModelError, Text, ToolCall
from assistant.models import ProviderState
from assistant.models.provider_state import LARGEST, Kept
from assistant.presentation import export
from assistant.prompt import context
from assistant.tools import Service
from tests.acting import answer_of, ask, claimed, finish, now
from tests.rounds import offer, run_to_the_end, run_turn

pytestmark = pytest.mark.django_db(transaction=True)

# In no order that a database would keep, and with what none stores.
BLOCKS = [{"type": "thinking", "thinking": "Hm\x00 \ud83d …", "signature": "b==", "a": 1.0, "A": None}]
EXTRA = {"provider_specific_fields": {"thought_signature": "sig/+="}}
CALL = rounds.NewCall("c1", "look", "{}", "Look")


@pytest.fixture
def room(session, settings, monkeypatch):
    """A session with a tool in it, in which models are asked that say what the test wants."""
    service = Service("bench", title="Bench", description="For tests.")

    @service.tool(title="Look", idempotent=True)
    def look() -> str:
        """Looks."""
        return "seen"

    offer(settings, monkeypatch, service)
    settings.ASSISTANT_RETRIES = 0
    session.services = ["bench"]
    session.save()
    return session


@pytest.fixture
def heard(monkeypatch):
    """`heard(model, *answers)`: each answer is the pieces of one request; what it was sent is noted."""
    answers, asked = {}, []

    async def stream(model, messages, *, tools=(), parameters=None):
        asked.append((model, messages))
        for piece in answers[model].pop(0):
            if isinstance(piece, Exception):
                raise piece
            yield piece

    def heard(model, *pieces):
        answers[model] = list(pieces)

    monkeypatch.setattr(llm, "stream", stream)
    heard.asked = asked
    return heard


def calling(**kept):
    kept = [llm.Kept(kept)] if kept else []
    return [ToolCall("c1", "look", "{}", EXTRA), ToolCall("c2", "look", "{}"), *kept, Finish("tool_calls")]


SAID = [Text("So."), Finish("stop")]


def states(messages):
    return [line["provider_state"] for line in messages if "provider_state" in line]


def test_it_comes_back_with_its_round_as_it_was(room, alice, worker, loop, heard):
    heard("test/model", calling(thinking_blocks=BLOCKS), SAID)
    answer = answer_of(ask(room, alice))
    assert run_to_the_end(loop, answer, worker).content == "So."
    (_, _), (_, again) = heard.asked
    (state,) = states(again)
    assert state == {"model": "test/model", "message": {"thinking_blocks": BLOCKS}, "calls": {"c1": EXTRA}}
    assert json.dumps(state["message"]["thinking_blocks"]) == json.dumps(BLOCKS), "its order too"
    later = context.prompt_for(claimed(answer_of(ask(room, alice, "And now?")), worker))
    assert states(later.messages) == [state], "and with each later question"


def test_it_is_the_model_s_that_really_answered(room, alice, worker, loop, heard, settings):
    settings.ASSISTANT_FALLBACK_MODELS = ["test/other"]
    heard("test/model", [ModelError("provider_error", "down", is_transient=True)])
    heard("test/other", calling(reasoning_content="Hm"), SAID)
    run_to_the_end(loop, answer_of(ask(room, alice)), worker)
    (state,) = states(heard.asked[-1][1])
    assert state["model"] == "test/other"


def test_what_a_stalled_model_wants_back_goes_to_no_other(room, alice, worker, loop, heard, settings):
    settings.ASSISTANT_ESCALATION_MODEL = "test/other"
    heard("test/model", calling(), [llm.Kept({"thinking_blocks": BLOCKS}), Finish("stop")])
    heard("test/other", calling(), SAID)
    assert run_to_the_end(loop, answer_of(ask(room, alice)), worker).content == "So."
    assert [(state["model"], state["message"]) for state in states(heard.asked[-1][1])] == [
        ("test/model", {}), ("test/other", {}),
    ]  # fmt: skip


def test_it_goes_on_with_another_worker(room, alice, worker, loop, heard):
    claim = claimed(answer_of(ask(room, alice)), worker)
    assert rounds.open_round(
        claim, Written("", 0), 1, [CALL], Kept("test/model", {"thinking_blocks": BLOCKS}, [EXTRA])
    )
    assert answering.hand_over(claim, Written("", 0))
    heard("test/model", SAID)
    answer = room.messages.running().get()
    run_turn(loop, claimed(answer, worker))
    ((_, asked),) = heard.asked
    assert states(asked)[0]["message"] == {"thinking_blocks": BLOCKS} and now(answer).status == "success"


def test_a_round_that_is_stored_twice_keeps_one(room, alice, worker):
    claim = claimed(answer_of(ask(room, alice)), worker)
    for _ in range(2):
        assert rounds.open_round(claim, Written("", 0), 1, [CALL], Kept("test/model", {}, []))
    assert ProviderState.objects.count() == 1


@pytest.mark.parametrize("fields", [{"blocks": ["x" * LARGEST]}, {"blocks": {1, 2}}, {"blocks": b"x"}])
def test_what_can_t_be_kept_whole_is_not_given_back_at_all(room, alice, worker, fields):
    """Half of what was signed is refused; a round of another model's isn't."""
    claim = claimed(answer_of(ask(room, alice)), worker)
    assert rounds.open_round(claim, Written("", 0), 1, [CALL], Kept("test/model", fields, [EXTRA]))
    assert ProviderState.objects.get().kept == "{}"
    assert states(context.prompt_for(claim).messages) == []


def test_a_fork_carries_it(room, alice, worker):
    answer = answer_of(ask(room, alice))
    claim = claimed(answer, worker)
    assert rounds.open_round(claim, Written("", 0), 1, [CALL], Kept("test/model", {"x": 1}, [EXTRA]))
    finish(claim, "So.")
    fork = forking.fork(now(answer), alice).session
    told = context.prompt_for(claimed(answer_of(ask(fork, alice, "And now?")), worker))
    assert states(told.messages) == [{"model": "test/model", "message": {"x": 1}, "calls": {"c1": EXTRA}}]


def test_nobody_is_shown_it(room, alice, worker, frames):
    from assistant.presentation.wire import message_json

    answer = answer_of(ask(room, alice))
    claim = claimed(answer, worker)
    assert rounds.open_round(claim, Written("", 0), 1, [CALL], Kept("test/model", {"x": "secret thought"}, []))
    finish(claim, "So.")
    shown = [json.dumps(frames), json.dumps(message_json(now(answer))), b"".join(export.as_json(room)).decode()]
    assert not [text for text in shown if "secret thought" in text]
    asked = adapted(
        "test/other", context.prompt_for(claimed(answer_of(ask(room, alice, "?")), worker)).messages, sees=False
    )
    assert "secret thought" not in json.dumps(asked)


def test_only_what_goes_to_models_that_may_be_asked_is_read(room, alice, worker, settings):
    """Each may be megabytes, and a long conversation has many models' of them."""
    claim = claimed(answer_of(ask(room, alice)), worker)
    for number, model in enumerate(["test/model", "test/other", "test/stronger", "test/gone"]):
        call = rounds.NewCall(f"c{number}", "look", "{}", "Look")
        assert rounds.open_round(claim, Written("", 0), number + 1, [call], Kept(model, {"x": number}, []))
    settings.ASSISTANT_FALLBACK_MODELS, settings.ASSISTANT_ESCALATION_MODEL = ["test/other"], "test/stronger"
    told = [state["model"] for state in states(context.prompt_for(claim).messages)]
    assert told == ["test/model", "test/other", "test/stronger"]
