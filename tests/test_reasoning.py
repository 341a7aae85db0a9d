"""What a model thinks: shown beside its text by deltas of its own, stored with it, and never taken for it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from types import SimpleNamespace

import pytest

from assistant import llm
from assistant.delivery import live_text
from assistant.delivery.outbox import Outbox
from assistant.lifecycle import answering, asking, forking, people, rounds
from assistant.lifecycle.answering import Written
from assistant.lifecycle.joining import snapshot
from assistant.models import Message
from assistant.presentation import broadcast, wire
from assistant.presentation.wire import message_json, message_json_now
from assistant.prompt import context
from assistant.search import find
from assistant.text.reasoned import Reasoned
from assistant.worker import streaming as answers
from assistant.worker.streaming import CUT
from tests.acting import answer_of, ask, claimed, finish, now, write
from tests.calling import Caller
from tests.client_state import ClientState
from tests.provider import expected_text
from tests.reasoning import THOUGHTS, follow, says, thinking, thought, written_by
from tests.rounds import run_turn
from tests.sockets import do, reading

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),  # litellm trips over its own
]


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
    kept = thought("r0 r1 r2 r3", len(told), ended.reasoning_seconds) | {"tokens": ended.reasoning_tokens}
    assert ended.reasoning_tokens
    assert follow(viewer, frames).messages[str(answer.pk)]["reasoning"] == kept
    assert message_json(ended)["reasoning"] == kept
    assert Caller(alice)("get", f"/messages/{answer.pk}").json()["reasoning"] == kept


def test_who_did_not_think_has_none(answer, claim, monkeypatch, loop):
    says(monkeypatch, [llm.Text("Fine."), llm.Finish("stop")])
    run_turn(loop, claim)
    assert message_json(now(answer))["reasoning"] is None


def test_thoughts_alone_are_no_answer_and_are_kept(answer, claim, monkeypatch, loop):
    says(monkeypatch, [*THOUGHTS, llm.Finish("stop")])
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


@pytest.mark.parametrize("first", [30, 40])
def test_what_is_beyond_the_bound_is_left_out(claim, worker, loop, frames, monkeypatch, first):
    monkeypatch.setattr(answers, "LONGEST_REASONING", 40)

    async def act(fresh):
        for piece in ("a" * first, "b" * 30, "c" * 30):
            fresh.reason(piece)
        fresh.write("Words go on.")

    written = written_by(loop, claim, act)
    assert written.reasoned.content == "a" * first + "b" * (40 - first) + CUT
    assert written.content == "Words go on."
    told = [frame["text"] for frame in frames if frame["type"] == "message.reasoning_delta"]
    assert "".join(told) == written.reasoned.content
    again = written_by(loop, dataclasses.replace(claim, reasoned=written.reasoned), act)
    assert again.reasoned.content == written.reasoned.content, "nor does a later attempt go on with it"


def test_its_seconds_end_with_the_first_word(claim, loop, frames, monkeypatch):
    moments = iter([10.0, 13.0, 14.5, 14.5, 100.0, 102.0])
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
    write(claim, "As", 1, Reasoned("I thi", 1, 1.5))
    assert message_json_now(now(answer))["reasoning"] == thought("I think", 2), "what Valkey has is older"
    write(claim, "As far", 2, Reasoned("I think so", 3, 1.5))
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
    write(claim, "", 0, Reasoned("I think", 2, 1.5))
    stopped = asking.cancel(now(answer), alice)
    assert (stopped.status, stopped.content, stopped.reasoning, stopped.reasoning_seq) == (
        "cancelled",
        "",
        "I think",
        2,
    )
    assert not finish(claim, "late") and now(answer).reasoning == "I think"


def test_after_a_stop_has_sealed_it_nobody_is_shown_another_thought(claim, loop, frames, monkeypatch):
    doubts = []

    async def act(fresh):
        fresh.reason("One")
        while not frames:
            await asyncio.sleep(0.01)
        assert (await asyncio.to_thread(live_text.seal, claim.message_id, claim.attempt)).reasoned.content == "One"
        fresh.reason(" two")
        while not doubts:
            await asyncio.sleep(0.01)

    monkeypatch.setattr(live_text, "SEAL_MS", 60_000)
    written_by(loop, claim, act, on_doubt=lambda: doubts.append(True))
    assert [frame["text"] for frame in frames] == ["One"]


def test_a_delta_that_may_not_be_sent_waits_and_takes_no_text_along(claim, loop, frames, monkeypatch):
    """While it is on its way a checkpoint asks for the text so far. Both texts are of that kind."""
    monkeypatch.setattr(answers, "SEALED_PAUSE_SECONDS", 0)
    refused = []

    async def act(fresh):
        run = Outbox.run

        async def sealed_once(outbox, command):
            assert "One" in fresh.written.content + fresh.written.reasoned.content
            if b" two" in command.arguments:
                refused.append(command)
                if len(refused) in (1, 3):
                    return [live_text.REFUSED]
            return await run(outbox, command)

        monkeypatch.setattr(Outbox, "run", sealed_once)
        for take, type_ in ((fresh.reason, "message.reasoning_delta"), (fresh.write, "message.delta")):
            take("One")
            while not [frame for frame in frames if frame["type"] == type_]:
                await asyncio.sleep(0.01)
            take(" two")
            while len([frame for frame in frames if frame["type"] == type_]) < 2:
                await asyncio.sleep(0.01)

    written = written_by(loop, claim, act)
    assert (written.reasoned.content, written.content, written.seqs) == ("One two", "One two", (2, 2))
    assert len(refused) == 4


# --- who gets it, and who does not ---


SECRET = "The butler wears size eleven."


@pytest.fixture
def thoughtful(session, alice, worker):
    """An answer that has ended, and what was thought for it."""
    answer = answer_of(ask(session, alice, "Who was it?"))
    claim = claimed(answer, worker)
    assert answering.succeed(claim, thinking(SECRET, text="The gardener.", text_seq=1), None)
    return now(answer)


def test_no_model_is_told_of_it_again(thoughtful, session, alice, worker):
    claim = claimed(answer_of(ask(session, alice, "And why?")), worker)
    told = json.dumps(context.prompt_for(claim).messages)
    assert "gardener" in told and "butler" not in told


def test_search_does_not_look_into_it(thoughtful, alice):
    """Of both databases."""
    assert [hit.message.pk for hit in find(alice, "gardener", 10)[0]] == [thoughtful.pk]
    assert find(alice, "butler", 10)[0] == []


def test_readers_by_a_link_get_neither_the_field_nor_the_frames(thoughtful, session, alice, worker, client, loop):
    token = people.share(session, alice)[0].token
    claim = claimed(answer_of(ask(session, alice, "And why?")), worker)
    write(claim, "Be", 1, Reasoned(SECRET, 1, 1.5))
    assert "butler" not in client.get(f"/api/shared/{token}/messages").content.decode()

    def goes_on():
        answering.hand_over(claim, thinking(SECRET, text="Be", text_seq=1))
        call = rounds.NewCall("c", "look", "{}", "Look")
        second = claimed(now_of(claim), worker)
        rounds.open_round(second, thinking(SECRET, text="Because", text_seq=1), 1, [call])
        answering.hand_over(second, thinking(SECRET, text="Because", text_seq=1))
        third = claimed(now_of(claim), worker)
        finish(third, "Because.")

    async def scenario():
        async with reading(session, token) as socket:
            deltas = {"message_id": str(claim.message_id), "attempt": 1, "seq": 2, "text": SECRET, "seconds": 2.0}
            await broadcast.send_frame(session.pk, wire.encode("message.reasoning_delta", **deltas))
            await do(goes_on)
            await socket.until("message.reset", content="Because")
            await socket.until("message.updated")
            return socket.seen

    seen = loop.run(scenario())
    assert "butler" not in json.dumps(seen) and not any("reasoning" in str(frame) for frame in seen)
    assert {"message.reset", "message.tool_calls", "message.updated"} <= {frame["type"] for frame in seen}


def now_of(claim):
    return Message.objects.get(pk=claim.message_id)


def test_forks_and_files_carry_it(thoughtful, session, bob, alice):
    copied = forking.fork(thoughtful, bob).session.messages.answers().get()
    assert message_json(copied)["reasoning"] == message_json(thoughtful)["reasoning"] == thought(SECRET, 2)
    as_json = b"".join(Caller(alice)("get", f"/sessions/{session.pk}/export?format=json").streaming_content)
    assert json.loads(as_json)["messages"][-1]["reasoning"]["content"] == SECRET
    as_text = b"".join(Caller(alice)("get", f"/sessions/{session.pk}/export?format=md").streaming_content).decode()
    assert f"> **Thinking** · 2 s\n>\n> {SECRET}\n\nThe gardener.\n" in as_text


def test_nothing_in_it_ends_its_quotation_in_a_file(session, alice, worker):
    answer = answer_of(ask(session, alice))
    answering.succeed(
        claimed(answer, worker), thinking("```\ncode\r# Title\n\n---\nend", text="Words", text_seq=1), None
    )
    text = b"".join(Caller(alice)("get", f"/sessions/{session.pk}/export?format=md").streaming_content).decode()
    assert "> ```\n> code\n> # Title\n>\n> ---\n> end\n\nWords\n" in text


def test_operators_see_it(thoughtful, admin_client):
    page = admin_client.get(f"/admin/assistant/message/{thoughtful.pk}/change/").content.decode()
    assert SECRET in page


def test_its_tokens_are_those_that_the_ledger_counts_apart(answer, claim, monkeypatch):
    from assistant.lifecycle import ledger

    monkeypatch.setattr(ledger, "total_of", lambda message_id: {"total_tokens": 9, "reasoning_tokens": 7})
    assert answering.succeed(claim, thinking("Hm", text="Fine.", text_seq=1), None)
    assert message_json(now(answer))["reasoning"] == thought("Hm", 2, tokens=7)
