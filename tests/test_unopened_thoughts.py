"""Thoughts that end with `</think>` and that no tag began: the model's template has written that one into the prompt."""

from __future__ import annotations

import asyncio

import pytest
from django.db import connections

from assistant import llm
from assistant.delivery import live_text
from assistant.lifecycle import asking
from assistant.lifecycle.joining import snapshot
from assistant.llm.pieces import Reasoning, Text, WasThought
from assistant.llm.thinking import ThinkTagSplitter
from assistant.worker import retries
from tests.acting import answer_of, ask, claimed, now
from tests.client_state import ClientState
from tests.provider import expected_text
from tests.reasoning import says, written_by
from tests.rounds import run_turn

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),  # litellm trips over its own
]


def split(text, size, **options):
    """(what was thought, what was said) of a text that comes in pieces of `size` characters."""
    tags, thought, said = ThinkTagSplitter(**options), "", ""
    parts = [text[start : start + size] for start in range(0, len(text), size)]
    for piece in [piece for part in parts for piece in tags.split(part)] + [*tags.end()]:
        match piece:
            case Text(words):
                said += words
            case Reasoning(words):
                thought += words
            case WasThought():
                thought, said = thought + said, ""
    return thought, said


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
@pytest.mark.parametrize(
    ("text", "thought", "said"),
    [
        ("So it is.\n</think>\n\nYes.", "So it is.\n", "Yes."),
        ("So</think>Yes", "So", "Yes"),
        ("</think>\n\nYes.", "", "Yes."),
        ("\n</think>\n\nYes.", "\n", "Yes."),
        ("I call `f(x)` and `</think>` is a word.\n</think>\n\nYes.", "I call `f(x)` and `</think>` is a word.\n", "Yes."),
        ("Once</think>Yes</think>no", "Once", "Yes</think>no"),
        ("1 < 2 and </thing>", "", "1 < 2 and </thing>"),
        ("```\n</think>\n```\nends it.", "", "```\n</think>\n```\nends it."),
        ("It is between <think> and </think>, always.", "", "It is between <think> and </think>, always."),
        ("<think>Hm.</think>\n\nYes </think>", "Hm.", "Yes </think>"),
        ("ends in </thi", "", "ends in </thi"),
    ],
)  # fmt: skip
def test_what_stands_before_the_tag_is_thought_however_it_is_cut(text, thought, said, size):
    assert split(text, size) == (thought, said)


def test_where_thoughts_have_a_field_of_their_own_the_tag_is_a_word():
    assert split("So</think>Yes", 3, is_told_apart=True) == ("", "So</think>Yes")


def test_a_turn_stores_it_as_reasoning(asked_here, session, alice, worker, frames, loop):
    answer = answer_of(ask(session, alice, model="openai/words-n5-think=4-inline-unopened"))
    run_turn(loop, claimed(answer, worker))
    ended = now(answer)
    assert (ended.status, ended.content, ended.reasoning) == ("success", expected_text("words-n5"), "r0 r1 r2 r3")
    assert ended.calls.get().reasoning_tokens > 0


@pytest.fixture
def impatient(settings, monkeypatch):
    monkeypatch.setattr(retries, "FIRST_PAUSE_SECONDS", 0.0)
    settings.ASSISTANT_RETRIES = 2
    settings.ASSISTANT_FALLBACK_MODELS = []


async def elsewhere(act):
    """In a thread with a connection of its own."""

    def done():
        try:
            return act()
        finally:
            connections.close_all()

    return await asyncio.to_thread(done)


async def shown_as_text(fresh, frames):
    fresh.write("I think")
    while not frames:
        await asyncio.sleep(0.01)


def test_whoever_was_shown_it_as_text_misses_a_delta_and_is_told_rightly(answer, claim, session, alice, frames, loop):
    viewer = ClientState(snapshot(session.pk, alice))
    joined = []
    frames.clear()

    async def act(fresh):
        await shown_as_text(fresh, frames)
        fresh.write(", so")
        await fresh.take_as_thought()
        joined.append(await elsewhere(lambda: snapshot(session.pk, alice)))
        for frame in frames:
            viewer.apply(frame)
        assert viewer.is_stale, "who holds the text asks for a snapshot"
        frames.clear()
        fresh.write("Yes.")

    written = written_by(loop, claim, act)
    assert (written.content, written.reasoned.content) == ("Yes.", "I think, so")
    state = ClientState(joined[0])
    for frame in frames:
        state.apply(frame)
    held = state.messages[str(answer.pk)]
    assert not state.is_stale
    assert (held["content"], held["html"], held["reasoning"]["content"]) == ("Yes.", ["<p>Yes.</p>"], "I think, so")
    assert written.seqs == (held["seq"], held["reasoning"]["seq"])


def test_what_nobody_was_shown_goes_over_without_a_word(claim, frames, loop):
    async def act(fresh):
        fresh.write("I think")
        await fresh.take_as_thought()
        fresh.write("Yes.")

    written = written_by(loop, claim, act)
    assert (written.content, written.reasoned.content, written.seqs) == ("Yes.", "I think", (1, 1))
    assert [frame["type"] for frame in frames] == ["message.reasoning_delta", "message.delta"]


def test_earlier_rounds_stay_as_they_are(claim, frames, loop):
    async def act(fresh):
        fresh.write("I look it up.")
        await fresh.end_round()
        fresh.write("It says so")
        while not [frame for frame in frames if frame.get("text", "").endswith("says so")]:
            await asyncio.sleep(0.01)
        await fresh.take_as_thought()
        fresh.write("It is.")

    written = written_by(loop, claim, act)
    assert (written.content, written.reasoned.content) == ("I look it up.\n\nIt is.", "It says so")


def test_a_stop_after_it_keeps_it_as_thought(answer, claim, alice, frames, loop):
    async def act(fresh):
        await shown_as_text(fresh, frames)
        await fresh.take_as_thought()
        await elsewhere(lambda: asking.cancel(now(answer), alice))

    written_by(loop, claim, act)
    stopped = now(answer)
    assert (stopped.status, stopped.content, stopped.reasoning) == ("cancelled", "", "I think")


def test_while_somebody_stops_the_answer_nobody_is_told(claim, frames, loop):
    async def act(fresh):
        await shown_as_text(fresh, frames)
        await elsewhere(lambda: live_text.seal(claim.message_id, claim.attempt))
        frames.clear()
        await fresh.take_as_thought()
        assert not frames

    assert written_by(loop, claim, act).content == ""


def test_a_model_that_broke_off_behind_its_thoughts_is_asked_again(
    answer, claim, monkeypatch, loop, frames, impatient
):
    broken = llm.ModelError("provider_error", "away", is_transient=True)
    says(
        monkeypatch,
        [Text("I think"), WasThought(), broken],
        [Text("I think again"), WasThought(), Text("Yes."), llm.Finish("stop")],
    )
    run_turn(loop, claim)
    ended = now(answer)
    assert (ended.status, ended.content, ended.reasoning) == ("success", "Yes.", "I think\n\nI think again")
