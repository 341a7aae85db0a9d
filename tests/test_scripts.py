"""Lua scripts: their text is sent once, then their hash, and a server that has forgotten them is told again."""

import uuid

import pytest
import redis.asyncio.connection
import redis.connection

from assistant.delivery import live_text, rate_limits, valkey
from assistant.delivery.live_text import Delta, LiveText
from assistant.sockets import presence
from assistant.sockets.presence import Online
from tests.acting import an_outbox, first_delta

pytestmark = pytest.mark.usefixtures("valkey_server")


@pytest.fixture
def sent(monkeypatch):
    """The commands that are sent from here on, as bytes."""
    noted = []

    def note(command):
        noted.append(command if isinstance(command, bytes) else b"".join(command))

    def send(connection, command, **options):
        note(command)
        return send_now(connection, command, **options)

    async def send_later(connection, command, **options):
        note(command)
        return await send_then(connection, command, **options)

    ours, theirs = redis.connection.AbstractConnection, redis.asyncio.connection.AbstractConnection
    send_now, send_then = ours.send_packed_command, theirs.send_packed_command
    monkeypatch.setattr(ours, "send_packed_command", send)
    monkeypatch.setattr(theirs, "send_packed_command", send_later)
    return noted


def texts_in(sent):
    """How often the text of a script was sent."""
    return sum(command.count(b"redis.call(") > 0 for command in sent)


def forget():
    valkey.client().script_flush()


def write(loop, message_id, pieces, *, forgets=False):
    async def scenario():
        async with an_outbox() as outbox:
            await live_text.write(outbox, [first_delta(message_id, LiveText(1, 1, "a"))])
            for seq in range(1, pieces + 1):
                if forgets:
                    forget()
                delta = Delta(message_id, 1, "b", (seq, 0), lambda: pytest.fail("The text is there."))
                assert await live_text.write(outbox, [delta]) == [live_text.DONE]

    loop.run(scenario())
    found = live_text.read(message_id)
    assert found.content == "a" + "b" * pieces


def test_a_rate_is_counted_without_sending_the_script_again(sent):
    forget()
    what = uuid.uuid4().hex
    assert [rate_limits.take(what, 5, 60) for _ in range(5)] == [0] * 5
    assert rate_limits.take(what, 5, 60) > 0
    assert texts_in(sent) == 1
    assert sum(b"EVALSHA" in command for command in sent) == 7  # the first of them in vain


def test_an_answer_is_written_without_sending_the_script_with_each_piece(loop, sent):
    forget()
    write(loop, uuid.uuid4(), pieces=20)
    assert texts_in(sent) == 3  # to replace, to append, to read


def test_a_server_that_forgets_its_scripts_loses_nothing(loop, sent):
    what, message_id = uuid.uuid4().hex, uuid.uuid4()
    for _ in range(3):
        forget()
        assert rate_limits.take(what, 3, 60) == 0
    forget()
    assert rate_limits.take(what, 3, 60) > 0
    write(loop, message_id, pieces=5, forgets=True)
    forget()
    assert live_text.seal(message_id, 1).content == "abbbbb"
    assert texts_in(sent) == 4 + 6 + 1 + 1  # rates; replace and append; read; seal


def test_in_a_pipeline_too_the_text_is_sent_once(sent):
    sessions = {uuid.uuid4(): [(7, "a"), (8, "b")] for _ in range(10)}
    forget()
    presence.renew(sessions)
    presence.renew(sessions)
    assert texts_in(sent) == 1
    forget()
    presence.renew(sessions)
    assert texts_in(sent) == 2
    assert [presence.look(session) for session in sessions] == [Online([7, 8], 0)] * 10


def test_in_an_outbox_too(loop, sent):
    doubled = valkey.Script("return redis.call('ECHO', ARGV[1] * 2)")

    async def scenario():
        async with an_outbox() as outbox:
            found = []
            for _ in range(2):
                forget()
                for _ in range(2):
                    found.append(await outbox.run(*(doubled.command([], [number]) for number in (1, 2, 3))))
            return found

    assert loop.run(scenario()) == [[b"2", b"4", b"6"]] * 4
    assert texts_in(sent) == 2


def test_a_rate_that_nobody_reaches_is_counted_all_the_same(caplog):
    """Between two of so many there is less than the millisecond that a key lives at least."""
    assert [rate_limits.take(f"fast-{uuid.uuid4().hex}", 10**9, 60) for _ in range(2)] == [0, 0]
    assert "not limited" not in caplog.text
