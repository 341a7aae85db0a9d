"""What a turn does with what a model sends, and with a model that doesn't obey; on a real loop, without a provider."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from assistant import llm, outage
from assistant.database import Database
from assistant.delivery.outbox import Outbox
from assistant.failures import SENTENCES
from assistant.lifecycle import recovery
from assistant.lifecycle.joining import snapshot
from assistant.models.ids import new_id
from assistant.models.message import Claim
from assistant.ops import report
from assistant.prompt import context
from assistant.text.storable import storable
from assistant.worker import conversation, flusher, turn
from assistant.worker.flusher import Flusher
from assistant.worker.outcomes import HandedOver, Lost
from assistant.worker.streaming import Answer
from assistant.worker.turn import Stop, Turn
from tests.acting import an_outbox, kill, now
from tests.rounds import run_turn
from tests.threads import LONG_SECONDS


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("take", "type_"), [("write", "message.delta"), ("reason", "message.reasoning_delta")])
def test_what_comes_soon_after_a_delta_is_told_with_what_follows(claim, frames, loop, monkeypatch, take, type_):
    monkeypatch.setattr(flusher, "SHORTEST_SECONDS", 3600)
    monkeypatch.setattr(flusher, "LONGEST_SECONDS", 3600)

    def told():
        return [frame["text"] for frame in frames if frame["type"] == type_]

    async def scenario():
        async with an_outbox() as outbox:
            answer = Answer(claim, Flusher(outbox), on_doubt=lambda: None)
            getattr(answer, take)("One")
            while not told():
                await asyncio.sleep(0.01)
            for word in (" two", " three", " four"):
                getattr(answer, take)(word)
                await asyncio.sleep(0.01)
            before = told()
            await answer.close()
            return before

    assert loop.run(scenario()) == ["One"] and told() == ["One", " two three four"]


@pytest.mark.django_db(transaction=True)
def test_a_fault_of_ours_ends_the_answer_with_a_sentence(answer, claim, loop, monkeypatch, caplog):
    async def broken(*args):
        raise ZeroDivisionError("a secret detail")

    monkeypatch.setattr(conversation, "offered", broken)
    run_turn(loop, claim)
    ended = now(answer)
    assert (ended.status, ended.error_code, ended.error_detail) == ("error", "internal", SENTENCES["internal"])
    assert "a secret detail" in caplog.text, "the operator's log has it"


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["plain"], "plain"),
        (["a\x00b"], "ab"),
        (["\ud83d\udc4b"], "👋"),
        (["so \ud83d", "\udc4b!"], "so 👋!"),
        (["lone \udc4b"], "lone \ufffd"),
        (["\ud83d", "x"], "\ufffdx"),
        (["e\u0301 עברית 👩‍💻"], "e\u0301 עברית 👩‍💻"),
    ],
)
def test_what_no_database_stores_is_mended_and_all_else_kept(pieces, text):
    said, half = "", ""
    for piece in pieces:
        done, half = storable(half + piece)
        said += done
    assert said == text and not half


def test_secrets_are_taken_out_of_what_is_reported(monkeypatch, caplog):
    monkeypatch.setenv("OPENAI_API_KEY", "a-very-secret-word")
    claim = Claim(new_id(), new_id(), new_id(), 1)
    what = report.Circumstances(claim, "auth", "openai/x", 7, 1.5)
    error = ValueError("refused: a-very-secret-word, sk-abcdefghijklmnop")
    with caplog.at_level(logging.ERROR, "assistant.ops.report"):
        report.failed(what, str(error), error)
    assert str(claim.message_id) in caplog.text and "user=7" in caplog.text and "memory_mb=" in caplog.text
    assert "[OPENAI_API_KEY]" in caplog.text and "secret-word" not in caplog.text and "abcdefgh" not in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_turn_that_does_not_obey_its_deadline_ends_anyhow_and_makes_its_worker_sick(
    answer, claim, settings, monkeypatch, loop
):
    settings.ASSISTANT_DEADLINE = 0.05
    monkeypatch.setattr(turn, "OBEY_SECONDS", 0.05)
    sick, release = [], asyncio.Event()

    async def stubborn(self):
        self.answer.write("As far as")
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    monkeypatch.setattr(Turn, "_converse", stubborn)

    async def scenario():
        outbox, database = Outbox(), Database("test", threads=1)
        told = Turn(claim, database, Flusher(outbox), on_doubt=lambda: None, on_sick=lambda: sick.append(True))
        await asyncio.wait_for(told.run(), 60)
        told.answer.write(" and more")
        release.set()
        await asyncio.wait_for(told._talk, 60)
        await outbox.close()
        database.close(wait=True)

    loop.run(scenario())
    ended = now(answer)
    assert sick == [True]
    assert (ended.status, ended.error_code, ended.content) == ("error", "timeout", "As far as")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("why", "outcome", "status"), [(Stop.HAND_OVER, HandedOver(), "pending"), (Stop.LOST, Lost(), "processing")]
)
def test_a_turn_that_is_stopped_before_it_begins_asks_nobody(answer, claim, loop, monkeypatch, why, outcome, status):
    turns, prompts = [], []
    monkeypatch.setattr(context, "prompt_for", lambda *args: prompts.append(args))

    async def stopped_at_once(turn):
        turns.append(turn)
        turn.stop(why)

    run_turn(loop, claim, stopped_at_once)
    assert turns[0].outcome == outcome and now(answer).status == status
    assert not prompts


async def raises(error):
    raise error


async def fails_in_a_group():
    async with asyncio.TaskGroup() as group:
        group.create_task(raises(RuntimeError("a tool of this round")))
        await asyncio.sleep(3600)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "torn",
    [
        lambda: raises(RuntimeError("closing it failed")),
        lambda: raises(llm.ModelError("provider_error", "it went away")),
        fails_in_a_group,
    ],
    ids=["an-error", "the-provider's", "a-group's"],
)
@pytest.mark.parametrize(("why", "status"), [(Stop.HAND_OVER, "pending"), (Stop.LOST, "processing")])
def test_a_stop_is_a_stop_whatever_the_conversation_raises_of_it(answer, claim, monkeypatch, loop, torn, why, status):
    """A deploy loses nothing: what is torn down in mid work may fail with something else than its cancellation."""
    began = asyncio.Event()

    async def hold(self):
        try:
            began.set()
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await torn()

    monkeypatch.setattr(conversation.Conversation, "hold", hold)

    async def stopped(turn):
        await began.wait()
        turn.stop(why)

    run_turn(loop, claim, stopped)
    assert (now(answer).status, now(answer).error_code) == (status, "")


@pytest.mark.django_db(transaction=True)
def test_a_conversation_that_was_cancelled_by_nobody_is_a_failure_and_no_answer(answer, claim, monkeypatch, loop):
    """A library that lets a CancelledError of its own out: half an answer must not pass for a whole one."""

    async def cancelled(self):
        self.answer.write("Half of")
        raise asyncio.CancelledError

    monkeypatch.setattr(Turn, "_converse", cancelled)

    async def scenario():
        outbox, database = Outbox(), Database("test", threads=1)
        told = Turn(claim, database, Flusher(outbox), on_doubt=lambda: None, on_sick=lambda: None)
        await asyncio.wait_for(told.run(), 60)
        await outbox.close()
        database.close(wait=True)

    loop.run(scenario())
    assert (now(answer).status, now(answer).error_code, now(answer).content) == ("error", "internal", "Half of")


@pytest.mark.django_db(transaction=True)
def test_an_answer_that_is_lost_track_of_again_and_again_is_given_up(answer, claim, settings):
    settings.ASSISTANT_MAX_ATTEMPTS = 1
    assert recovery.disown(answer.pk, claim.attempt)
    assert (now(answer).status, now(answer).error_code) == ("error", "abandoned")


@pytest.mark.django_db(transaction=True)
def test_a_join_after_an_outage_of_the_database_takes_nobody_s_answer_over(
    session, answer, claim, worker, alice, monkeypatch
):
    kill(worker)  # its lease looks stale: it could not renew it
    monkeypatch.setattr(outage, "_last", float("-inf"))
    outage.note()
    snapshot(session.pk, alice)
    assert (now(answer).status, now(answer).attempt) == ("processing", 1)
    monkeypatch.setattr(outage, "_last", float("-inf"))
    snapshot(session.pk, alice)
    assert now(answer).status == "pending"


@pytest.mark.django_db(transaction=True)
def test_a_turn_is_there_to_be_stopped_while_its_first_prompt_is_made(answer, claim, loop, monkeypatch):
    """Else a Stop would be heard by nobody, and a slow prompt would look like a row that nobody writes."""
    made = threading.Event()
    monkeypatch.setattr(context, "prompt_for", lambda *args: made.wait(LONG_SECONDS))

    async def stopped_meanwhile(turn):
        await asyncio.sleep(0)
        turn.stop(Stop.LOST)
        await asyncio.wait({turn._talk}, timeout=LONG_SECONDS)
        assert turn._talk.cancelled()
        made.set()

    run_turn(loop, claim, stopped_meanwhile)
    assert now(answer).status == "processing"  # the row decides, as always
