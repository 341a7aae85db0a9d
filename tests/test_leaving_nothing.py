"""A socket leaves nothing behind in its web process, in whatever way it ends: no entry, no queue, no ghost who is here."""

import asyncio
import threading

import pytest
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator

from assistant.database import Database
from assistant.presentation import broadcast
from assistant.sockets import consumers, fan_out, missed_changes, relay, resync, revalidation
from tests.sockets import SECONDS, Socket, do, tell, token_of
from tests.threads import LONG_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)


async def communicator(session, header):
    """Of a socket that has had its snapshot and is looked after."""
    from project.asgi import application

    await asyncio.to_thread(broadcast.flush, SECONDS)
    path = f"/ws/sessions/{session.pk}/"
    made = WebsocketCommunicator(application, path, headers=[(b"host", b"testserver"), header])
    assert (await made.connect(SECONDS))[0]
    await Socket(made).until("presence")
    while not resync._viewers:
        await asyncio.sleep(0.005)
    return made


async def nothing_is_left(session):
    """The probe of the interruptions' watch goes with its watch, a moment later."""
    layer = get_channel_layer()
    async with asyncio.timeout(SECONDS):
        books = (fan_out._inboxes, fan_out._groups, missed_changes._heard, resync._viewers, revalidation._seats)
        while layer.channels or layer.groups or any(books):
            await asyncio.sleep(0.01)


@pytest.fixture
def no_others(loop):
    """Other tests' sockets, and the runners of some, share the loop and its layer."""

    async def flush():
        await get_channel_layer().flush()

    loop.run(flush())


@pytest.fixture
def held_up(monkeypatch):
    """From the second snapshot on, each waits: for `set`."""
    go_on, snapshots, real = threading.Event(), [], consumers.snapshot
    database = Database("test", threads=2)

    def snapshot(*arguments):
        snapshots.append(arguments)
        if len(snapshots) > 1:
            assert go_on.wait(LONG_SECONDS)
        return real(*arguments)

    monkeypatch.setattr(consumers, "snapshot", snapshot)
    monkeypatch.setattr(relay, "_database", database)
    go_on.snapshots = snapshots
    yield go_on
    go_on.set()
    # A thread that ended after its test could no longer close its connection: by then no test may use the database.
    database.close(wait=True)


def test_one_that_is_cut_short_while_it_was_busy(session, alice, loop, no_others, held_up):
    """So Daphne does when the client has gone and the application is still at work some seconds later."""
    token = token_of(alice)

    async def scenario():
        made = await communicator(session, token)
        await made.send_input({"type": "websocket.receive", "text": '{"type":"sync"}'})
        while len(held_up.snapshots) < 2:
            await asyncio.sleep(0.005)
        made.future.cancel()
        await asyncio.gather(made.future, return_exceptions=True)
        await nothing_is_left(session)

    loop.run(scenario())


def test_one_that_ends_with_an_error(session, alice, loop, no_others, monkeypatch):
    token = token_of(alice)

    async def scenario():
        made = await communicator(session, token)

        def broken(*arguments):
            raise ValueError("a bug")

        monkeypatch.setattr(consumers, "snapshot", broken)
        await made.send_input({"type": "websocket.receive", "text": '{"type":"sync"}'})
        [error] = await asyncio.gather(made.future, return_exceptions=True)
        assert isinstance(error, ValueError)
        await nothing_is_left(session)

    loop.run(scenario())


def test_one_for_which_frames_came_in_the_moment_of_its_end(session, alice, loop, no_others, held_up):
    """They are in its inbox, and nobody takes them out."""
    token = token_of(alice)

    async def scenario():
        made = await communicator(session, token)
        await made.send_input({"type": "websocket.receive", "text": '{"type":"sync"}'})
        while len(held_up.snapshots) < 2:
            await asyncio.sleep(0.005)
        (socket,) = missed_changes._heard
        for _ in range(3):
            await do(tell, session, {"type": "typing"})
        while fan_out._inboxes[socket].qsize() < 2:
            await asyncio.sleep(0.005)
        await made.send_input({"type": "websocket.disconnect", "code": 1001})
        held_up.set()
        await made.wait(SECONDS)
        await nothing_is_left(session)

    loop.run(scenario())


def test_one_that_could_not_be_subscribed(session, alice, loop, no_others, monkeypatch):
    token = token_of(alice)

    async def scenario():
        from project.asgi import application

        layer = get_channel_layer()

        async def half_way(group, channel):
            await type(layer).__getattr__(layer, "group_add")(group, channel)
            raise ConnectionError("away")

        with monkeypatch.context() as patch:
            patch.setattr(layer, "group_add", half_way, raising=False)
            path = f"/ws/sessions/{session.pk}/"
            made = WebsocketCommunicator(application, path, headers=[(b"host", b"testserver"), token])
            assert (await made.connect(SECONDS))[0]
            assert await Socket(made).close_code() == relay.TRY_AGAIN
            await made.disconnect(timeout=SECONDS)
        await nothing_is_left(session)

    loop.run(scenario())
