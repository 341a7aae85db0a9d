"""A frame that could not be sent: the work goes on, and whoever missed it is sent a snapshot once sending works again."""

import asyncio
import time

import pytest
from channels.layers import get_channel_layer

from assistant.presentation import broadcast
from tests.acting import answer_of, ask, claimed, finish
from tests.sockets import SECONDS, do, joined, token_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nothing_is_owed(monkeypatch):
    monkeypatch.setattr(broadcast, "MAKE_UP_SECONDS", 0.02)
    monkeypatch.setattr(broadcast, "_is_away", False)
    broadcast.owed.clear()
    monkeypatch.setattr(broadcast, "making_up", None)
    yield
    broadcast.owed.clear()


class Layer:
    """The channel layer with a connection that fails while it `is_away`."""

    def __init__(self):
        self.is_away = False
        self.sent = []

    async def group_send(self, group, event):
        if self.is_away:
            raise ConnectionError("away")
        self.sent.append((group, event["type"]))
        await get_channel_layer().group_send(group, event)


@pytest.fixture
def layer(monkeypatch):
    made = Layer()
    monkeypatch.setattr(broadcast, "get_channel_layer", lambda: made)
    return made


def test_an_ending_whose_frame_was_lost_reaches_its_viewer_with_nobody_doing_anything(
    session, alice, worker, loop, layer
):
    """The worker's connection broke, the web server's subscription lived: nothing else would ever tell."""

    token = token_of(alice)

    async def scenario():
        async with joined(session, token) as socket:
            answer = await do(lambda: answer_of(ask(session, alice)))
            claim = await do(claimed, answer, worker)
            await socket.until("session.updated")
            layer.is_away = True
            assert await do(finish, claim, "Whole.")
            layer.is_away = False
            snapshot = await socket.until("session.snapshot")
            ended = next(message for message in snapshot["messages"] if message["id"] == str(answer.pk))
            assert (ended["status"], ended["content"]) == ("success", "Whole.")

    loop.run(scenario())


def test_it_is_tried_again_until_it_works_and_then_told_once(layer, loop):
    group = broadcast.group_of("7" * 32)

    async def scenario():
        layer.is_away = True
        for _ in range(3):
            await broadcast.send_frame("7" * 32, "{}")
        while broadcast.owed != {group}:  # for a moment of each try it is not
            await asyncio.sleep(0.001)
        assert layer.sent == []
        layer.is_away = False
        await asyncio.wait_for(broadcast.making_up, SECONDS)
        assert layer.sent == [(group, "viewer.resync")] and not broadcast.owed

    loop.run(scenario())


def test_what_is_owed_is_bounded_and_a_list_is_owed_nothing(layer, loop, monkeypatch):
    monkeypatch.setattr(broadcast, "MOST_OWED", 2)

    async def scenario():
        layer.is_away = True
        await broadcast.send("user.1", {"type": "relay", "frame": "{}"})
        assert broadcast.owed == set()
        for n in range(5):
            await broadcast.send_frame(f"{n}" * 32, "{}")
        assert len(broadcast.owed) == 2
        broadcast.making_up.cancel()

    loop.run(scenario())


def test_a_loop_that_is_late_drops_no_frame(monkeypatch, loop):
    """The answer of the server has long arrived when the loop, busy with something else, looks at the clock."""
    monkeypatch.setattr(broadcast, "SEND_SECONDS", 0.2)
    sent = []

    class Slow:
        async def group_send(self, group, event):
            for _ in range(4):  # it takes some turns of the loop to read an answer
                await asyncio.sleep(0.01)
            sent.append(event["type"])

    monkeypatch.setattr(broadcast, "get_channel_layer", Slow)

    async def scenario():
        sending = asyncio.create_task(broadcast.send_frame("7" * 32, "{}"))
        await asyncio.sleep(0.005)
        time.sleep(0.4)  # noqa: ASYNC251 (that is the point; twice as long as a frame is waited for)
        await sending

    loop.run(scenario())
    assert sent == ["relay"] and not broadcast.owed


def test_a_server_that_says_nothing_is_not_waited_for(monkeypatch, loop):
    monkeypatch.setattr(broadcast, "SEND_SECONDS", 0.1)

    class Silent:
        async def group_send(self, group, event):
            await asyncio.sleep(3600)

    monkeypatch.setattr(broadcast, "get_channel_layer", Silent)

    async def scenario():
        await asyncio.wait_for(broadcast.send_frame("7" * 32, "{}"), SECONDS)
        assert broadcast.owed
        broadcast.making_up.cancel()

    loop.run(scenario())
