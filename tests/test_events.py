"""What the people in a session are told: after the commit, the state after the change, and enough to keep up with it."""

import json
import threading

import pytest
from django.db import transaction

from assistant.lifecycle import answering, asking, recovery, session_changes
from assistant.lifecycle.joining import snapshot
from assistant.lifecycle.session_changes import session_changed
from assistant.models import ChatSession
from assistant.presentation import broadcast, wire
from tests.acting import a_worker, answer_of, ask, claimed, fail, finish, kill, now
from tests.client_state import ClientState
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def types(frames):
    return [frame["type"] for frame in frames]


def test_a_send_tells_question_answer_and_session(session, alice, frames):
    sent = ask(session, alice, "Hello")
    assert types(frames) == ["message.created", "message.created", "session.updated"]
    question, answer, updated = frames
    assert (question["message"]["id"], question["message"]["content"]) == (str(sent.message.pk), "Hello")
    assert question["message"]["author"] == {"id": alice.pk, "name": "alice"}
    assert (answer["message"]["id"], answer["message"]["reply_to"]) == (str(sent.reply.pk), str(sent.message.pk))
    assert (answer["message"]["status"], answer["message"]["alive"]) == ("pending", True)
    assert updated["session"]["running"] is True


def test_nothing_is_told_before_the_commit(session, alice, frames):
    with transaction.atomic():
        ask(session, alice)
        assert frames == []
    assert len(frames) == 3


def test_nothing_is_told_if_it_fails(session, alice, worker, frames):
    claim = claimed(answer_of(ask(session, alice)), worker)
    frames.clear()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        finish(claim)
        raise ZeroDivisionError
    assert frames == [] and now(session.messages.running().get()).status == "processing"


def test_whoever_hears_of_a_message_finds_it_committed(session, alice, monkeypatch):
    """Race 27: at the moment of the frame another connection sees the row."""
    from assistant.models import Message
    from tests.threads import elsewhere

    found = []

    def look(session_id, frame):
        frame = json.loads(frame)
        if "message" in frame:
            found.append(elsewhere(lambda: Message.objects.filter(pk=frame["message"]["id"]).exists()))

        async def nothing(): ...

        return nothing()

    monkeypatch.setattr(broadcast, "send_frame", look)
    ask(session, alice)
    assert found == [True, True]


@pytest.mark.parametrize("ending", ["finish", "fail", "stop", "hand over", "die", "abandon"])
def test_the_broadcast_carries_the_state_after_the_change(session, alice, worker, frames, ending, settings):
    """Race 15."""
    answer = answer_of(ask(session, alice))
    claim = claimed(answer, worker)
    frames.clear()
    match ending:
        case "finish":
            finish(claim, "Fine.")
        case "fail":
            fail(claim, "As far")
        case "stop":
            asking.cancel(answer, alice)
        case "hand over":
            answering.hand_over(claim, answering.Written("As far", 1))
        case "die" | "abandon":
            settings.ASSISTANT_MAX_ATTEMPTS = 1 if ending == "abandon" else 3
            kill(worker)
            recovery.sweep()
    [told] = [frame["message"] for frame in frames if frame["type"] == "message.updated"]
    stored = now(answer)
    assert (told["status"], told["version"], told["content"]) == (stored.status, stored.version, stored.content)
    assert told["alive"] == stored.is_alive() and told["id"] == str(answer.pk)
    told_sessions = [frame["session"]["running"] for frame in frames if frame["type"] == "session.updated"]
    assert told_sessions[-1:] in ([], [session.messages.running().exists()])


def test_an_ending_tells_the_promotion_in_the_same_commit(session, alice, bob, worker, frames):
    claim = claimed(answer_of(ask(session, alice)), worker)
    waiting = ask(session, bob, "second").message
    frames.clear()
    finish(claim)
    assert types(frames) == ["message.updated", "message.updated", "message.created", "session.updated"]
    assert (frames[1]["message"]["id"], frames[1]["message"]["status"]) == (str(waiting.pk), "success")
    assert frames[2]["message"]["reply_to"] == str(waiting.pk) and frames[3]["session"]["running"] is True


def test_a_pause_is_told_with_its_end(session, alice, bob, worker, frames):
    claim = claimed(answer_of(ask(session, alice)), worker)
    ask(session, bob, "second")
    fail(claim)
    assert frames[-1]["session"]["queue_paused_until"] and frames[-1]["session"]["running"] is False


def test_frames_name_their_session(session, alice, monkeypatch):
    from django.contrib.auth import get_user_model

    told = []

    def note(session_id, frame):
        told.append(str(session_id))

        async def nothing(): ...

        return nothing()

    monkeypatch.setattr(broadcast, "send_frame", note)
    other = ChatSession.objects.create()
    ask(other, get_user_model().objects.create_user("dora"))
    assert set(told) == {str(other.pk)}


# --- old state + events = freshly fetched state: `test_any_order.py`; here what it can't bring about, or not surely ---


def test_two_changes_of_the_session_that_are_told_in_the_wrong_order_leave_the_newer(session, alice, bob, vera):
    """Two processes commit one after the other, and the second is the first to publish.

    Messages carry a version for it; the session's own fields (title, model, pause) need one as well.
    """
    client = ClientState(snapshot(session.pk, vera))
    told, first_has_committed, second_is_told = [], threading.Event(), threading.Event()
    real = broadcast.on_commit

    def late(session_id, frame):
        if json.loads(frame).get("session", {}).get("title") == "First":
            transaction.on_commit(lambda: (first_has_committed.set(), second_is_told.wait(30)))
        transaction.on_commit(lambda: told.append(json.loads(frame)))

    def rename(title):
        with transaction.atomic():
            ChatSession.objects.filter(pk=session.pk).update(title=title)
            session_changed(ChatSession.objects.get(pk=session.pk))

    def second():
        first_has_committed.wait(30)
        rename("Second")
        second_is_told.set()

    broadcast.on_commit = late
    try:
        results = at_once(lambda: rename("First"), second)
    finally:
        broadcast.on_commit = real
    assert results == [None, None] and [frame["session"]["title"] for frame in told] == ["Second", "First"]
    for frame in told:
        client.apply(frame)
    assert client.session["title"] == ClientState(snapshot(session.pk, vera)).session["title"] == "Second"


def test_a_message_s_updates_that_come_in_the_wrong_order_leave_the_newer(session, alice, vera, worker, frames):
    client = ClientState(snapshot(session.pk, vera))
    finish(claimed(answer_of(ask(session, alice)), worker), "Fine.")
    for frame in reversed(frames):
        if "message" in frame:
            client.apply(frame)
    assert client.shown["messages"] == ClientState(snapshot(session.pk, vera)).shown["messages"]


def test_a_second_attempt_counts_anew_and_nothing_of_it_is_dropped(session, alice, vera, worker, frames):
    """Race 23: the counter restarts, the attempt tells."""
    client = ClientState(snapshot(session.pk, vera))
    answer = answer_of(ask(session, alice))

    def delta(claim, seq, text):
        names = {"message_id": str(answer.pk), "attempt": claim.attempt, "seq": seq}
        frames.append(json.loads(wire.encode("message.delta", **names, text=text, blocks={"from": 0, "html": []})))

    first = claimed(answer, worker)
    for seq in range(1, 6):
        delta(first, seq, "One ")
    answering.hand_over(first, answering.Written("One " * 5, 5))
    delta(claimed(answer, worker), 1, "two")
    for frame in frames:
        client.apply(frame)
    held = client.messages[str(answer.pk)]
    assert (held["attempt"], held["seq"], held["content"]) == (2, 1, "two") and not client.is_stale


# --- sending ---


def test_frames_leave_in_the_order_in_which_they_were_announced(session, alice, monkeypatch, loop):
    """Through the real channel layer, one process to another's subscription."""
    from channels.layers import get_channel_layer

    async def scenario():
        import asyncio

        layer = get_channel_layer()
        channel = await layer.new_channel("test.")
        await layer.group_add(broadcast.group_of(session.pk), channel)

        def announce():
            for n in range(100):
                with transaction.atomic():
                    broadcast.on_commit(session.pk, json.dumps({"n": n}))
            transaction.get_connection().close()

        await asyncio.to_thread(announce)
        return [json.loads((await asyncio.wait_for(layer.receive(channel), 30))["frame"])["n"] for _ in range(100)]

    assert loop.run(scenario()) == list(range(100))


def test_a_channel_layer_that_is_away_harms_nobody(session, alice, worker, monkeypatch, caplog):
    async def away(group, event):
        raise ConnectionError("away")

    class Layer:
        group_send = staticmethod(away)

    monkeypatch.setattr(broadcast, "get_channel_layer", Layer)
    monkeypatch.setattr(broadcast, "_is_away", False)
    finish(claimed(answer_of(ask(session, alice)), worker))
    broadcast.flush(30)
    assert session.messages.filter(status="success").count() == 2 and "Frames are not sent" in caplog.text


def test_the_end_of_a_session_is_told_to_its_sockets_and_its_worker(session, alice, worker, sent_to_workers):
    answer = answer_of(ask(session, alice))
    claimed(answer, worker)
    session_changes.delete(session)
    assert sent_to_workers() == [
        (worker.mailbox, {"type": "turn.stop", "message_id": str(answer.pk), "attempt": 1}),
        (broadcast.group_of(session.pk), {"type": "access.ended", "user_id": None}),
    ]


def test_a_recovery_by_another_worker_is_told_once(session, alice, worker, frames):
    answer = answer_of(ask(session, alice))
    claimed(answer, worker)
    kill(worker)
    a_worker("other")
    frames.clear()
    recovery.sweep()
    recovery.sweep()
    assert types(frames) == ["message.updated"]
