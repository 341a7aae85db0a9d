"""A frame that was lost unseen: its viewers are sent a snapshot soon, though nobody does anything."""

import asyncio

import pytest
from channels.layers import get_channel_layer
from django.conf import settings as django_settings
from django.db import OperationalError

from assistant import outage
from assistant.delivery import valkey
from assistant.lifecycle import asking, ordering, people, rounds, session_changes
from assistant.lifecycle.answering import Written
from assistant.models import ToolCall
from assistant.models.tool_call import Approval
from assistant.presentation import broadcast
from assistant.sockets import missed_changes
from tests.acting import ask, finish, kill
from tests.sockets import do, joined, opened, reading, token_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def look_often(monkeypatch):
    monkeypatch.setattr(missed_changes, "HEARD_WITHIN_SECONDS", 0.1)


@pytest.fixture
def dies_before_sending(monkeypatch):
    """What is done with it commits, and then its process is no more: none of its frames is sent."""

    def done(action, *arguments):
        with monkeypatch.context() as patch:
            patch.setattr(broadcast, "_run", lambda coroutine: coroutine.close())
            return action(*arguments)

    return done


async def looks(count):
    """Waits until it was looked that often."""
    seen = 0
    real = missed_changes._versions

    def counted(session_ids):
        nonlocal seen
        seen += 1
        return real(session_ids)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(missed_changes, "_versions", counted)
        while seen < count:
            await asyncio.sleep(0.01)


def ended(snapshot, answer):
    return next((m["status"], m["content"]) for m in snapshot["messages"] if m["id"] == str(answer.pk))


def test_an_ending_whose_worker_died_before_it_told_reaches_its_viewer(
    session, alice, answer, claim, loop, dies_before_sending
):
    token = token_of(alice)

    async def scenario():
        async with joined(session, token) as socket:
            assert await do(dies_before_sending, finish, claim, "Whole.")
            snapshot = await socket.until("session.snapshot")
            assert ended(snapshot, answer) == ("success", "Whole.")
            await looks(3)
            await socket.send({"type": "ping"})
            await socket.until("pong")
            assert [frame["type"] for frame in socket.seen].count("session.snapshot") == 2, "once is enough"

    loop.run(scenario())


def test_so_does_a_pause_for_an_approval(session, alice, answer, claim, loop, dies_before_sending):
    """Nothing would follow it until somebody decides, which only who sees it can."""
    token = token_of(alice)
    new = rounds.NewCall("c1", "pay", "{}", "Pay", needs_approval=True)

    def park():
        assert rounds.open_round(claim, Written("", 0), 1, [new])
        assert rounds.park(claim, Written("", 0))

    async def scenario():
        async with joined(session, token) as socket:
            await do(dies_before_sending, park)
            snapshot = await socket.until("session.snapshot")
            [call] = next(m for m in snapshot["messages"] if m["id"] == str(answer.pk))["tool_calls"]
            assert call["approval"] == Approval.ASKED

    loop.run(scenario())
    assert ToolCall.objects.asked().count() == 1


def test_a_later_frame_does_not_hide_that_one_before_it_was_lost(
    session, alice, answer, claim, loop, dies_before_sending
):
    token = token_of(alice)

    async def scenario():
        async with joined(session, token) as socket:
            assert await do(dies_before_sending, finish, claim, "Whole.")
            await do(lambda: session_changes.change(session, title="Another"))
            snapshot = await socket.until("session.snapshot")
            assert ended(snapshot, answer) == ("success", "Whole.")

    loop.run(scenario())


def test_readers_by_the_link_and_lists_learn_of_it_too(session, alice, answer, claim, loop, dies_before_sending):
    link, _ = people.share(session, alice)
    token, shared = token_of(alice), link.token

    async def scenario():
        async with opened(None, token, path="/ws/sessions/") as list_, reading(session, shared) as reader:
            assert (await list_.frame())["type"] == "list.snapshot"
            assert await do(dies_before_sending, finish, claim, "Whole.")
            assert ended(await reader.until("session.snapshot"), answer) == ("success", "Whole.")
            told = await list_.until("list.updated")
            assert (told["session"]["id"], told["session"]["running"]) == (str(session.pk), False)

    loop.run(scenario())


def test_who_was_told_is_sent_nothing(session, alice, answer, claim, loop):
    token = token_of(alice)

    async def scenario():
        async with joined(session, token) as socket:
            await do(finish, claim, "Whole.")
            await do(lambda: session_changes.change(session, title="Another"))
            await socket.until("session.updated")
            await looks(3)
            await socket.send({"type": "ping"})
            await socket.until("pong")
            assert [frame["type"] for frame in socket.seen].count("session.snapshot") == 1

    loop.run(scenario())


@pytest.mark.parametrize("order", [[2, 3, 4], [4, 3, 2], [3, 2, 2, 4]])
def test_frames_of_several_processes_may_come_in_another_order(order):
    held = missed_changes._Heard(session_id=None, version=1)
    for version in order:
        held.add(version)
    assert held.version == 4 and not held.ahead


def test_a_subscription_that_breaks_for_a_moment_costs_nobody_an_ending(session, alice, answer, claim, loop):
    """It is back before anybody asks, and so is the frame's loss unseen: it was sent to no one."""
    token = token_of(alice)

    def finish_unheard():
        """The server hangs up on its subscribers and then takes each frame, before they can have come back."""
        layer = get_channel_layer()
        prefix = django_settings.CHANNEL_LAYERS["default"]["CONFIG"]["prefix"]

        async def publish(group, event):
            with valkey.client().pipeline(transaction=True) as pipe:
                pipe.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
                pipe.publish(f"{prefix}__group__{group}", layer.serialize(event))
                cut, heard_by = pipe.execute()
                receivers.append((cut, heard_by))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(broadcast, "_publish", publish)
            assert finish(claim, "Whole.")
            broadcast.flush()

    receivers = []

    async def scenario():
        async with joined(session, token) as socket:
            await do(finish_unheard)
            assert receivers and not any(heard for _, heard in receivers)
            assert ended(await socket.until("session.snapshot"), answer) == ("success", "Whole.")
            assert not missed_changes._heard[next(iter(missed_changes._heard))].ahead

    loop.run(scenario())


def test_a_look_at_a_database_that_is_away_is_noted_and_looked_again(
    session, alice, answer, claim, worker, loop, monkeypatch, dies_before_sending
):
    token = token_of(alice)
    real, tries = missed_changes._versions, []

    def away(session_ids):
        tries.append(outage.was_recent())
        if len(tries) < 3:
            raise OperationalError("away")
        return real(session_ids)

    async def scenario():
        async with joined(session, token) as socket:
            # Before there is anything to see: a look between an ending and this would not be away.
            monkeypatch.setattr(missed_changes, "_versions", away)
            await do(kill, worker)  # it could not renew its lease
            assert await do(dies_before_sending, finish, claim, "Whole.")
            assert ended(await socket.until("session.snapshot"), answer) == ("success", "Whole.")

    loop.run(scenario())
    assert tries[:2] == [False, True], "who joins now judges nobody"


@pytest.mark.parametrize("change", ["edit", "withdraw", "move"])
def test_so_does_a_change_of_a_message_that_waits(session, alice, answer, loop, dies_before_sending, change):
    token = token_of(alice)
    first, second = (ask(session, alice, text).message for text in ("first", "second"))
    action = {
        "edit": (asking.edit, second, "other words"),
        "withdraw": (asking.withdraw, second),
        "move": (ordering.move, second, first.pk),
    }[change]

    async def scenario():
        async with joined(session, token) as socket:
            changed = await do(dies_before_sending, *action)
            snapshot = await socket.until("session.snapshot")
            return changed, next(m for m in snapshot["messages"] if m["id"] == str(second.pk))

    before = _place_of(second)
    changed, shown = loop.run(scenario())
    assert (shown["content"], shown["status"], shown["position"]) == _place_of(changed) != before


def _place_of(message):
    return message.content, message.status, message.position
