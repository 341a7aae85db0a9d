"""One flusher for all answers of a process: what goes together, what doesn't wait, and what is lost (nothing)."""

import asyncio
import copy
import json

import pytest
from channels.layers import get_channel_layer

from assistant import markup
from assistant.delivery import channel_groups, live_text, valkey
from assistant.delivery.outbox import Outbox
from assistant.presentation import broadcast, wire
from assistant.worker import flusher
from assistant.worker.flusher import Flusher, FlushWindow
from assistant.worker.streaming import Answer
from tests.acting import an_outbox, answer_of, ask, claimed, frame_in

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def claims(session, alice, worker):
    """`claims(n)`: those of answers in as many sessions."""

    def made(count):
        sessions = [session] + [type(session).objects.create(title=f"Room {n}") for n in range(1, count)]
        return [claimed(answer_of(ask(one, alice)), worker) for one in sessions]

    return made


@pytest.fixture
def pipelines(monkeypatch):
    """The commands of each pipeline that is sent."""
    noted = []
    real = Outbox._pipeline

    async def note(outbox, commands):
        noted.append([command.arguments for command in commands])
        return await real(outbox, commands)

    monkeypatch.setattr(Outbox, "_pipeline", note)
    return noted


@pytest.fixture
def long_window(monkeypatch):
    monkeypatch.setattr(flusher, "SHORTEST_SECONDS", 3600)
    monkeypatch.setattr(flusher, "LONGEST_SECONDS", 3600)


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


async def end_window(sender):
    """As if its time had passed, and all that waits were sent."""
    while sender._working is not None:
        sender._hurry.set()
        await asyncio.sleep(0.001)


async def all_have_begun(outbox, claims):
    """Answers whose first words are sent, and their flusher."""
    sender = Flusher(outbox)
    answers = [Answer(claim, sender, on_doubt=lambda: None) for claim in claims]
    for answer in answers:
        answer.write("One")
    await until(lambda: all(answer.written.seq == 1 for answer in answers) and sender._working is None)
    return sender, answers


def test_all_answers_with_news_take_one_round_trip_however_many_they_are(claims, loop, pipelines, long_window):
    made = claims(12)

    async def scenario():
        async with an_outbox() as outbox:
            sender, answers = await all_have_begun(outbox, made)
            for answer in answers:
                answer.write(", and")
            await end_window(sender)  # by now the server knows the scripts
            del pipelines[:]
            for answer in answers:
                answer.write(" two")
                answer.reason("Hm")  # its first thought, which doesn't wait
            await until(lambda: sender._working is None)
            for answer in answers:
                answer.write(" three")
                answer.reason(", hm")
            await end_window(sender)

    loop.run(scenario())
    assert [len(commands) for commands in pipelines] == [24, 24], "each once for its text and once for its thoughts"
    assert {arguments[0] for commands in pipelines for arguments in commands} == {"EVALSHA"}, "publishing is in them"


def test_many_tokens_in_a_window_are_one_frame_of_each_answer(claims, loop, frames, long_window):
    """A fixed script: three windows, five tokens of each answer in each."""
    made = claims(4)

    async def scenario():
        async with an_outbox() as outbox:
            sender, answers = await all_have_begun(outbox, made)
            for _ in range(3):
                for _ in range(5):
                    for answer in answers:
                        answer.write(" word")
                    await asyncio.sleep(0.002)
                await end_window(sender)
            return [str(answer._claim.message_id) for answer in answers]

    for message_id in loop.run(scenario()):
        own = [(frame["seq"], frame["text"]) for frame in frames if frame.get("message_id") == message_id]
        assert own == [(1, "One"), *((seq, " word" * 5) for seq in (2, 3, 4))]


def test_a_first_word_waits_for_nobody_and_takes_nobody_along(claims, loop, frames, long_window):
    first, second = claims(2)

    async def scenario():
        async with an_outbox() as outbox:
            sender, [early] = await all_have_begun(outbox, [first])
            early.write(" two")
            late = Answer(second, sender, on_doubt=lambda: None)
            late.write("Hello")
            await until(lambda: late.written.seq == 1 and not sender._under_way)
            assert early.written.content == "One", "it goes on gathering"
            await late.end_round()
            late.write("again")
            await until(lambda: late.written.seq == 2 and not sender._under_way)
            for answer in (early, late):
                await answer.close()

    loop.run(scenario())
    assert [frame["text"] for frame in frames if frame["type"] == "message.delta"] == [
        "One", "Hello", "\n\nagain", " two",
    ]  # fmt: skip


def test_what_is_published_is_in_the_live_text_already(claims, loop, monkeypatch):
    """Whoever subscribes first and reads then misses nothing."""
    read = []

    [claim] = claims(1)

    async def scenario():
        layer = get_channel_layer()
        channel = await layer.new_channel()
        await layer.group_add(broadcast.group_of(claim.session_id), channel)
        async with an_outbox() as outbox:
            answer = Answer(claim, Flusher(outbox), on_doubt=lambda: None)
            for word in ("One", " two", " three"):
                answer.write(word)
                frame = {"type": ""}
                while frame["type"] != "message.delta":  # what the asking told may come as well
                    frame = json.loads((await layer.receive(channel))["frame"])
                read.append((frame["seq"], (await asyncio.to_thread(live_text.read, claim.message_id)).seq))
            await answer.close()
        await layer.flush()

    loop.run(scenario())
    assert len(read) == 3 and all(now >= told for told, now in read)


def test_what_was_refused_is_told_in_order_and_drawn_once_when_it_may_be(claims, loop, frames):
    """A stop that didn't come to its end: the seal lapses."""
    [claim] = claims(1)

    async def scenario():
        async with an_outbox() as outbox:
            answer = Answer(claim, Flusher(outbox), on_doubt=lambda: doubts.append(True))
            answer.write("*One")
            await until(lambda: frames and frames[-1]["type"] == "message.delta")
            await asyncio.to_thread(live_text.seal, claim.message_id, claim.attempt)
            answer.write(" two*\n\n")
            await until(lambda: doubts)
            assert answer.written.content == "*One", "what nobody was shown is not stored"
            answer.write("Three")
            meta, *_ = live_text.keys(claim.message_id)
            await asyncio.to_thread(valkey.client().hdel, meta, "sealed")
            await until(lambda: answer.written.content.endswith("Three"))
            await answer.close()
            return answer.written

    doubts = []
    written = loop.run(scenario())
    told = [frame for frame in frames if frame["type"] == "message.delta"]
    assert [frame["text"] for frame in told] == ["*One", " two*\n\n", "Three"] and written.seq == 3
    held = []
    for frame in told:
        held[frame["blocks"]["from"] :] = frame["blocks"]["html"]
    assert held == markup.blocks(written.content)
    assert live_text.read(claim.message_id).content == written.content


def test_one_answer_that_may_not_be_written_holds_no_other_up(claims, loop, frames):
    sealed, free = claims(2)

    async def scenario():
        async with an_outbox() as outbox:
            _, answers = await all_have_begun(outbox, [sealed, free])
            await asyncio.to_thread(live_text.close, sealed.message_id, sealed.attempt)
            for answer in answers:
                answer.write(" two")
            await answers[1].close()
            await answers[0].close()
            return [answer.written for answer in answers]

    written = loop.run(scenario())
    assert [one.content for one in written] == ["One two", "One two"], "the row decides what becomes of it"
    told = [(frame["message_id"], frame["text"]) for frame in frames if frame["type"] == "message.delta"]
    assert (str(free.message_id), " two") in told and (str(sealed.message_id), " two") not in told


def test_without_valkey_the_writing_goes_on_and_its_viewers_are_owed_a_snapshot(
    claims, loop, monkeypatch, settings, caplog
):
    both = claims(2)
    broadcast.flush()
    owed = set()
    monkeypatch.setattr(broadcast, "_owe", owed.add)

    async def scenario():
        here = settings.REDIS_URL
        async with an_outbox() as outbox:
            sender = Flusher(outbox)
            answers = [Answer(claim, sender, on_doubt=lambda: None) for claim in both]
            broadcast.send_from(asyncio.get_running_loop(), outbox)
            settings.REDIS_URL = "unix:///nowhere/at.all"
            client, outbox._client = outbox._client, valkey.async_client()
            settings.REDIS_URL = here
            for word in ("One", " two"):
                for answer in answers:
                    answer.write(word)
                await until(lambda: sender._working is None)
            assert [answer.written.content for answer in answers] == ["One two"] * 2
            assert owed == {broadcast.group_of(claim.session_id) for claim in both}
            await outbox.close()
            outbox._client = client
            for answer in answers:
                answer.write(" three")
            for answer in answers:
                await answer.close()

    try:
        loop.run(scenario())
    finally:
        broadcast.send_from(None)
    assert all(live_text.read(claim.message_id).content == "One two three" for claim in both)
    assert sum("answers go on" in line for line in caplog.messages) == 1, "one line for an outage"


def test_a_delta_that_can_t_be_drawn_holds_nobody_up(claims, loop, monkeypatch, caplog):
    made = claims(2)

    async def scenario():
        async with an_outbox() as outbox:
            _, [broken, whole] = await all_have_begun(outbox, made)
            monkeypatch.setattr(broken._blocks, "append", lambda piece: 1 / 0)
            broken.write(" two")
            whole.write(" two")
            await asyncio.wait_for(broken.close(), 60)
            await asyncio.wait_for(whole.close(), 60)
            return broken.written.content, whole.written.content

    assert loop.run(scenario()) == ("One two", "One two")
    assert "could not be drawn" in caplog.text


def test_what_is_discarded_is_not_sent_any_more(claims, loop, frames, long_window):
    made = claims(1)

    async def scenario():
        async with an_outbox() as outbox:
            sender, [answer] = await all_have_begun(outbox, made)
            answer.write(" two")
            waiting = asyncio.create_task(answer.end_round())
            await asyncio.sleep(0)
            await answer.discard()
            await asyncio.wait({waiting}, timeout=60)
            assert waiting.done() and not sender._under_way
            answer.write(" three")
            return answer.written.content

    shown = loop.run(scenario())
    assert shown == "".join(frame["text"] for frame in frames if frame["type"] == "message.delta")


def test_the_window_widens_with_the_lag_and_the_answers_and_narrows_again():
    window = FlushWindow()
    assert window.seconds == flusher.SHORTEST_SECONDS
    window.look(0.0, 20)
    assert window.seconds == flusher.SHORTEST_SECONDS
    window.look(0.0, 50)
    assert flusher.SHORTEST_SECONDS < window.seconds < flusher.LONGEST_SECONDS
    window.look(0.0, 500)
    assert window.seconds == flusher.LONGEST_SECONDS
    window.look(0.02, 1)
    lagging = window.seconds
    assert flusher.SHORTEST_SECONDS < lagging < flusher.LONGEST_SECONDS
    window.look(1.0, 1)
    assert window.seconds == flusher.LONGEST_SECONDS
    for _ in range(50):
        window.look(0.0, 1)
    assert window.seconds == pytest.approx(flusher.SHORTEST_SECONDS, abs=0.001)


# --- with the channel layer ---


def test_a_publication_is_what_the_channel_layer_publishes_to_a_group(session, loop):
    """channels_redis says nowhere how it names a group's channel: if this fails it has changed."""
    frame = wire.encode("typing", user=None, active=False)

    async def scenario():
        published = broadcast.publication(session.pk, frame)
        client = valkey.async_client()
        listening = client.pubsub()
        await listening.psubscribe("*")
        layer = get_channel_layer()
        await layer.group_send(broadcast.group_of(session.pk), {"type": "relay", "frame": frame})
        while (message := await listening.get_message(timeout=60))["type"] != "pmessage" or (
            frame.encode() not in message["data"]
        ):
            pass
        await listening.aclose()
        await client.aclose()
        await layer.flush()
        return published, (message["channel"].decode(), message["data"])

    ours, theirs = loop.run(scenario())
    assert ours == theirs and frame_in(ours) == frame


@pytest.mark.parametrize(
    ("hosts", "together"),
    [
        (["HERE"], True),
        ([{"address": "HERE", "socket_connect_timeout": 3}], True),
        ([{"address": "redis://elsewhere:6379/0"}], False),
        ([("HERE", 6379)], False),
        ([{"address": "HERE"}, {"address": "HERE"}], False),
        ([], False),
    ],
)
def test_only_at_the_one_server_of_both_is_it_published_with_the_text(session, loop, settings, hosts, together):
    def here(host):
        if isinstance(host, dict):
            return host | {"address": here(host["address"])}
        return settings.REDIS_URL if host == "HERE" else host

    layers = copy.deepcopy(settings.CHANNEL_LAYERS)
    layers["default"]["CONFIG"]["hosts"] = [here(host) for host in hosts]
    settings.CHANNEL_LAYERS = layers

    async def scenario():
        return broadcast.publication(session.pk, "{}")

    assert bool(loop.run(scenario())) is together


def test_where_the_channel_layer_has_a_server_of_its_own_frames_follow_the_text(claims, loop, frames, monkeypatch):
    monkeypatch.setattr(channel_groups, "_is_at_our_server", lambda: False)
    [claim] = claims(1)

    async def scenario():
        async with an_outbox() as outbox:
            answer = Answer(claim, Flusher(outbox), on_doubt=lambda: None)
            answer.write("One")
            await until(lambda: answer.written.seq == 1)
            answer.write(" two")
            await answer.close()

    loop.run(scenario())
    assert [frame["text"] for frame in frames if frame["type"] == "message.delta"] == ["One", " two"]
    assert live_text.read(claim.message_id).content == "One two"
