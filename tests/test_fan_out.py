"""One subscription and one decoding of each event for all sockets of a process, and nobody misses anything for it."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from channels.layers import get_channel_layer

from assistant.presentation import broadcast
from assistant.sockets import fan_out
from assistant.web import backpressure
from tests.sockets import SECONDS, do, joined, tell, token_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def decodings(monkeypatch):
    """What the channel layer decodes from here on, by type of event."""
    noted = []
    layer = type(get_channel_layer())
    real = layer.deserialize

    def note(layer, message):
        event = real(layer, message)
        noted.append(event["type"])
        return event

    monkeypatch.setattr(layer, "deserialize", note)
    return noted


async def all_joined(stack, session, header, count):
    return [await stack.enter_async_context(joined(session, header)) for _ in range(count)]


def test_a_frame_is_decoded_once_for_twenty_viewers_and_all_have_it(session, alice, loop, decodings):
    header = token_of(alice)

    async def scenario():
        async with AsyncExitStack() as stack:
            viewers = await all_joined(stack, session, header, 20)
            assert len(fan_out._groups) == 1
            del decodings[:]
            for word in ("one", "two", "three"):
                await do(tell, session, {"type": "typing", "word": word})
            for viewer in viewers:
                for word in ("one", "two", "three"):
                    await viewer.until("typing", word=word)
            return decodings.count("relay")

    # Each has told the others of its coming before; only what was told of these is counted.
    assert loop.run(scenario()) == 3


def test_the_next_viewer_hears_while_the_last_one_leaves(session, loop):
    """The end of a subscription is under way when somebody joins."""
    name = broadcast.group_of(session.pk)

    async def scenario():
        early, late = "early", "late"
        for socket in (early, late):
            fan_out.open_inbox(socket)
        try:
            await fan_out.join(name, early)
            for _ in range(5):
                await asyncio.gather(fan_out.leave(name, early), fan_out.join(name, late))
                await asyncio.gather(fan_out.join(name, early), fan_out.leave(name, late))
            await asyncio.gather(fan_out.leave(name, early), fan_out.join(name, late))
            await do(tell, session, {"type": "typing"})
            event = await asyncio.wait_for(fan_out._inboxes[late].get(), SECONDS)
            assert fan_out._inboxes[early].empty()
            await fan_out.leave(name, late)
            return event
        finally:
            for socket in (early, late):
                fan_out.close_inbox(socket)

    assert loop.run(scenario())["type"] == "relay"
    assert not fan_out._groups


def test_what_can_t_be_read_costs_nobody_what_follows(session, alice, loop, monkeypatch, caplog):
    header = token_of(alice)
    layer = get_channel_layer()
    real, broken = type(layer).deserialize, []

    def once(layer, message):
        if not broken and b"relay" in message:  # and not a probe
            broken.append(message)
            raise ValueError("not msgpack")
        return real(layer, message)

    async def scenario():
        async with joined(session, header) as viewer:
            monkeypatch.setattr(type(layer), "deserialize", once)
            await do(tell, session, {"type": "typing", "n": 1})
            await do(tell, session, {"type": "typing", "n": 2})
            await viewer.until("typing", n=2)

    loop.run(scenario())
    assert broken and "could not be read" in caplog.text


def test_one_socket_is_told_between_frames_and_one_that_is_gone_is_not(session, loop):
    name = broadcast.group_of(session.pk)

    async def scenario():
        inbox = fan_out.open_inbox("one")
        await fan_out.join(name, "one")
        await do(tell, session, {"type": "typing"})
        while inbox.empty():
            await asyncio.sleep(0.005)
        fan_out.tell("one", {"type": "viewer.resync"})
        fan_out.tell("gone", {"type": "viewer.resync"})
        await fan_out.leave(name, "one")
        fan_out.close_inbox("one")
        return [inbox.get_nowait()["type"] for _ in range(inbox.qsize())]

    assert loop.run(scenario()) == ["relay", "viewer.resync"]


@pytest.mark.parametrize("text", ["", "x" * 125, "x" * 126, "x" * 65_535, "x" * 65_536, "Grüße 👋🏽"])
def test_a_frame_that_is_made_once_is_what_autobahn_makes_of_it(text):
    made = []

    class Transport:
        write = made.append

    protocol = WebSocketServerProtocol()
    protocol.factory = WebSocketServerFactory()
    protocol.transport = Transport
    protocol.state = protocol.STATE_OPEN
    protocol._connectionMade()
    protocol.state = protocol.STATE_OPEN
    protocol.sendMessage(text.encode())
    assert made == [backpressure._framed(text)]
    assert backpressure._framed(text) is backpressure._framed(text), "for the next viewer of the same"
