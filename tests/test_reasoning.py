"""What a model thinks: shown beside its text by deltas of its own, stored with it, and never taken for it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from assistant import answer as answers
from assistant import llm, valkey
from assistant.answer import CUT, Answer
from assistant.lifecycle import answering, asking, recovery, rounds
from assistant.lifecycle.answering import Written
from assistant.reasoned import Reasoned
from assistant.snapshot import snapshot
from assistant.wire import message_json, message_json_now
from tests.acting import FAILURE, answer_of, ask, claimed, finish, kill, now, write
from tests.calling import Caller
from tests.client_state import ClientState
from tests.provider import expected_text
from tests.rounds import run_turn

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),  # litellm trips over its own
]

THOUGHTS = [llm.Reasoning("First I look"), llm.Reasoning(" at it.")]


def thought(content, seq=1, seconds=1.5, tokens=None):
    return {"content": content, "seconds": seconds, "tokens": tokens, "seq": seq}


@pytest.fixture
def answer(session, alice):
    return answer_of(ask(session, alice))


@pytest.fixture
def claim(answer, worker):
    return claimed(answer, worker)


@pytest.fixture
def says(monkeypatch):
    """`says([pieces], ...)`: what the model sends to the first request, to the second ... An error in it is raised."""

    def says(*requests):
        left = list(requests)

        async def stream(model, messages, **options):
            for piece in left.pop(0):
                if isinstance(piece, Exception):
                    raise piece
                yield piece

        monkeypatch.setattr(llm, "stream", stream)

    return says


def written_by(loop, claim, act):
    """Acts on a fresh Answer of `claim`, closes it, and returns what it has written."""

    async def scenario():
        client = valkey.async_client()
        fresh = Answer(claim, client, on_doubt=lambda: None)
        await act(fresh)
        await fresh.close()
        await client.aclose()
        return fresh.written

    return loop.run(scenario())


def follow(state, frames):
    """A viewer's state after these frames."""
    for frame in frames:
        state.apply(frame)
    assert not state.is_stale
    return state


# --- shown and stored ---


def test_it_comes_by_deltas_of_its_own_and_is_stored_to_the_letter(asked_here, session, alice, worker, frames, loop):
    answer = answer_of(ask(session, alice, model="openai/words-n5-think=4"))
    viewer = ClientState(snapshot(session.pk, alice))
    frames.clear()
    run_turn(loop, claimed(answer, worker))
    ended = now(answer)
    assert (ended.status, ended.content, ended.reasoning) == ("success", expected_text("words-n5"), "r0 r1 r2 r3")
    told = [frame for frame in frames if frame["type"] == "message.reasoning_delta"]
    assert "".join(frame["text"] for frame in told) == "r0 r1 r2 r3"
    assert [(frame["attempt"], frame["seq"]) for frame in told] == [(1, n + 1) for n in range(len(told))]
    assert ended.reasoning_seq == len(told) and ended.reasoning_seconds >= told[-1]["seconds"] >= 0
    kept = thought("r0 r1 r2 r3", len(told), ended.reasoning_seconds)
    assert follow(viewer, frames).messages[str(answer.pk)]["reasoning"] == kept
    assert message_json(ended)["reasoning"] == kept
    assert Caller(alice)("get", f"/messages/{answer.pk}").json()["reasoning"] == kept


def test_who_did_not_think_has_none(answer, claim, says, loop):
    says([llm.Text("Fine."), llm.Finish("stop")])
    run_turn(loop, claim)
    assert message_json(now(answer))["reasoning"] is None


def test_thoughts_alone_are_no_answer_and_are_kept(answer, claim, says, loop):
    says([*THOUGHTS, llm.Finish("stop")])
    run_turn(loop, claim)
    ended = now(answer)
    assert (ended.status, ended.error_code, ended.content) == ("error", "empty_response", "")
    assert ended.reasoning == "First I look at it." and not ended.is_bounced


@pytest.mark.parametrize(
    ("pieces", "stored"), [(["a\x00b"], "ab"), (["so \ud83d", "\udc4b!"], "so 👋!"), (["\udc4b"], "\ufffd")]
)
def test_what_no_database_stores_is_mended_in_it_too(claim, loop, frames, pieces, stored):
    async def act(fresh):
        for piece in pieces:
            fresh.reason(piece)

    written = written_by(loop, claim, act)
    assert written.reasoned.content == stored and answering.succeed(claim, written, None)


def test_what_is_beyond_the_bound_is_left_out(claim, loop, frames, monkeypatch):
    monkeypatch.setattr(answers, "LONGEST_REASONING", 40)

    async def act(fresh):
        for piece in ("a" * 30, "b" * 30, "c" * 30):
            fresh.reason(piece)
        fresh.write("Words go on.")

    written = written_by(loop, claim, act)
    assert written.reasoned.content == "a" * 30 + "b" * (10 - len(CUT)) + CUT
    assert written.content == "Words go on."
    told = [frame["text"] for frame in frames if frame["type"] == "message.reasoning_delta"]
    assert "".join(told) == written.reasoned.content


def test_its_seconds_end_with_the_first_word(claim, loop, frames, monkeypatch):
    moments = iter([10.0, 13.0, 14.5, 100.0, 102.0])
    monkeypatch.setattr(answers, "time", SimpleNamespace(monotonic=lambda: next(moments)))

    async def act(fresh):
        fresh.reason("Hm")
        fresh.reason(", so")
        fresh.write("Well")  # at 14.5
        fresh.write(", now")
        fresh.reason("And")  # at 100
        fresh.reason(" yet")
        fresh.break_off()

    assert written_by(loop, claim, act).reasoned.seconds == 6.5


# --- while it is written ---


def test_who_joins_has_it_so_far_with_its_seq_and_goes_on_with_the_deltas(
    answer, claim, session, alice, frames, loop
):
    async def act(fresh):
        fresh.reason("One")
        while not frames:
            await asyncio.sleep(0.01)
        joined.append(await asyncio.to_thread(snapshot_here))
        frames.clear()
        fresh.reason(" two")
        fresh.write("Word")

    def snapshot_here():
        from django.db import connections

        try:
            return snapshot(session.pk, alice)
        finally:
            connections.close_all()

    joined = []
    frames.clear()
    written = written_by(loop, claim, act)
    [shown] = [message for message in joined[0]["messages"] if message["id"] == str(answer.pk)]
    assert shown["reasoning"] == thought("One", 1, shown["reasoning"]["seconds"])
    state = follow(ClientState(joined[0]), frames).messages[str(answer.pk)]
    assert (state["reasoning"]["content"], state["content"]) == ("One two", "Word")
    assert written.seqs == (state["seq"], state["reasoning"]["seq"])


def test_without_valkey_the_database_stands_in(answer, claim, monkeypatch):
    answering.checkpoint({claim: Written("As", 1, reasoned=Reasoned("I think", 2, 1.5))})
    assert message_json_now(now(answer))["reasoning"] == thought("I think", 2)
    write(claim, "As", 1, "I thi", 1)
    assert message_json_now(now(answer))["reasoning"] == thought("I think", 2), "what Valkey has is older"
    write(claim, "As far", 2, "I think so", 3)
    assert message_json_now(now(answer))["reasoning"] == thought("I think so", 3)


def test_a_checkpoint_is_a_sign_of_life_and_never_goes_back(answer, claim):
    assert now(answer).last_piece_at is None
    answering.checkpoint({claim: Written("", 0, reasoned=Reasoned("I think", 2, 1.5))})
    assert now(answer).last_piece_at is not None
    assert answering.checkpoint({claim: Written("", 0, reasoned=Reasoned("I", 1, 0.5))}) == set()
    assert (now(answer).reasoning, now(answer).reasoning_seq) == ("I think", 2)


def test_a_checkpoint_writes_no_thoughts_that_are_stored(answer, claim):
    written = Written("Word", 1, reasoned=Reasoned("I think", 2, 1.5))
    assert written.since((0, 2)).reasoned is None and written.since((1, 1)).reasoned is not None
    answering.checkpoint({claim: written})
    answering.checkpoint({claim: Written("Word two", 2, reasoned=Reasoned("I think", 2, 1.5)).since(written.seqs)})
    assert (now(answer).content, now(answer).reasoning, now(answer).reasoning_seq) == ("Word two", "I think", 2)


def test_a_stop_keeps_exactly_what_was_shown_of_it(answer, claim, alice):
    answering.checkpoint({claim: Written("", 0, reasoned=Reasoned("I th", 1, 0.5))})
    write(claim, "", 0, "I think", 2)
    stopped = asking.cancel(now(answer), alice)
    assert (stopped.status, stopped.content, stopped.reasoning, stopped.reasoning_seq) == (
        "cancelled",
        "",
        "I think",
        2,
    )
    assert not finish(claim, "late") and now(answer).reasoning == "I think"


# --- other attempts ---


def thinking(content, seq=2, seconds=1.5, text="", text_seq=0):
    return Written(text, text_seq, reasoned=Reasoned(content, seq, seconds))


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
        write(second, "A", 1, "Short", 1)
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
