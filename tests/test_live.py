"""The live text in Valkey: appended by one attempt, read whole at any moment, sealed by a stop, gone by itself."""

import dataclasses
import threading
import uuid

import pytest

from assistant.delivery import live_text, valkey
from assistant.delivery.live_text import DONE, KEEP_SECONDS, REFUSED, Delta, LiveText
from assistant.text.reasoned import Reasoned
from tests.acting import an_outbox, first_delta

pytestmark = pytest.mark.usefixtures("valkey_server")


class Refused(Exception):
    pass


@pytest.fixture
def message_id():
    return uuid.uuid4()


@pytest.fixture
def writing(loop, message_id):
    """`writing(attempt, piece, ...)` appends pieces one by one as that attempt, after `so_far`; returns all that is there.

    A piece that begins with a bracket is a thought.
    """

    def write(attempt, *pieces, so_far=None):
        async def scenario():
            live_now = so_far or LiveText(attempt, 0, "")
            async with an_outbox() as outbox:
                for piece in pieces:
                    before = (live_now.seq, live_now.reasoned.seq if live_now.reasoned else 0)
                    live_now = added(live_now, piece)
                    seconds = 1.5 if piece.startswith("[") else None
                    delta = Delta(message_id, attempt, piece.lstrip("["), before, lambda w=live_now: w, seconds)
                    if await live_text.write(outbox, [delta]) != [DONE]:
                        raise Refused
            return live_now

        return loop.run(scenario())

    return write


def added(text, piece):
    if piece.startswith("["):
        before = text.reasoned or Reasoned("", 0, 1.5)
        return dataclasses.replace(text, reasoned=Reasoned(before.content + piece[1:], before.seq + 1, 1.5))
    return dataclasses.replace(text, content=text.content + piece, seq=text.seq + 1)


def replace(loop, message_id, attempt, whole, seq):
    async def scenario():
        async with an_outbox() as outbox:
            return await live_text.write(outbox, [first_delta(message_id, LiveText(attempt, seq, whole))])

    return loop.run(scenario())


def test_pieces_are_appended_and_counted(message_id, writing):
    writing(1, "As ", "far ", "as 👋🏽")
    assert live_text.read(message_id) == LiveText(1, 3, "As far as 👋🏽")


def test_what_is_not_there_is_none(message_id):
    assert live_text.read(message_id) is None and live_text.seal(message_id, 1) is None


def test_if_valkey_lost_its_copy_the_next_append_brings_the_whole_text(message_id, writing):
    text = writing(1, "As ", "far ")
    valkey.client().delete(*live_text.keys(message_id))
    writing(1, "as", so_far=text)
    assert live_text.read(message_id) == LiveText(1, 3, "As far as")


@pytest.mark.parametrize("lost", [1, 2])
def test_if_valkey_lost_one_text_alone_the_next_append_does_not_pretend(message_id, writing, lost):
    """Three keys, of which the server may evict one when memory is short."""
    text = writing(1, "As ", "far ")
    valkey.client().delete(live_text.keys(message_id)[lost])
    writing(1, "as", so_far=text)
    assert live_text.read(message_id) == LiveText(1, 3, "As far as")


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_text_of_which_valkey_lost_a_part_is_not_taken_for_the_whole(message_id, writing, lost):
    """Otherwise a stop would keep a remnant, since its `seq` says that it is further than the checkpoint."""
    writing(1, "As ", "far ")
    valkey.client().delete(live_text.keys(message_id)[lost])
    assert live_text.read(message_id) is None and live_text.seal(message_id, 1) is None


def test_if_an_append_was_lost_the_next_one_brings_the_whole_text(message_id, writing):
    writing(1, "As ")
    writing(1, "as", so_far=LiveText(1, 2, "As far "))
    assert live_text.read(message_id) == LiveText(1, 3, "As far as")


def test_a_later_attempt_takes_over_with_its_own_text(message_id, writing):
    writing(1, "old ", "text")
    writing(2, "new")
    assert live_text.read(message_id) == LiveText(2, 1, "new")


def test_an_earlier_attempt_is_fenced(message_id, writing, loop):
    writing(2, "new")
    with pytest.raises(Refused):
        writing(1, "late", so_far=LiveText(1, 1, "so"))
    assert replace(loop, message_id, 1, "late", 9) == [REFUSED]
    assert live_text.read(message_id) == LiveText(2, 1, "new")


def test_attempts_are_compared_as_numbers(message_id, writing):
    writing(9, "nine")
    writing(10, "ten")
    with pytest.raises(Refused):
        writing(9, "late", so_far=LiveText(9, 1, "so"))
    assert live_text.read(message_id) == LiveText(10, 1, "ten")


def test_a_seal_returns_the_text_and_lets_nothing_more_be_written(message_id, writing, loop):
    text = writing(1, "As far")
    assert live_text.seal(message_id, 1) == LiveText(1, 1, "As far")
    with pytest.raises(Refused):
        writing(1, " as", so_far=text)
    assert replace(loop, message_id, 1, "all else", 9) == [REFUSED]
    assert live_text.read(message_id) == LiveText(1, 1, "As far")


def test_a_later_attempt_is_not_bound_by_a_seal(message_id, writing):
    writing(1, "As far")
    live_text.seal(message_id, 1)
    writing(2, "anew", " and on")
    assert live_text.read(message_id) == LiveText(2, 2, "anew and on")


def test_a_seal_whose_stop_never_came_to_its_end_no_longer_binds(message_id, writing, monkeypatch):
    monkeypatch.setattr(live_text, "SEAL_MS", 0)
    text = writing(1, "As far")
    live_text.seal(message_id, 1)
    writing(1, " as", so_far=text)
    assert live_text.read(message_id) == LiveText(1, 2, "As far as")


def test_everything_expires(message_id, writing):
    writing(1, "As ", "far")
    for key in live_text.keys(message_id):
        assert 0 < valkey.client().ttl(key) <= KEEP_SECONDS
    live_text.seal(message_id, 1)
    for key in live_text.keys(message_id):
        assert 0 < valkey.client().ttl(key) <= KEEP_SECONDS


def test_each_delta_renews_the_expiry(message_id, writing):
    text = writing(1, "As ")
    for key in live_text.keys(message_id):
        valkey.client().expire(key, 5)
    writing(1, "far", so_far=text)
    assert all(valkey.client().ttl(key) > 5 for key in live_text.keys(message_id))


def test_a_discarded_text_is_gone(message_id, writing):
    writing(1, "As far")
    live_text.discard(message_id)
    assert live_text.read(message_id) is None and not any(
        valkey.client().exists(key) for key in live_text.keys(message_id)
    )


def test_a_reader_sees_text_and_seq_of_one_moment(message_id, loop):
    """Race 22: a piece that arrives while the counter is read is in both or in neither."""
    seen, done = [], threading.Event()

    def read():
        while not done.is_set():
            if text := live_text.read(message_id):
                seen.append(text)

    reader = threading.Thread(target=read)
    reader.start()

    async def scenario():
        async with an_outbox() as outbox:
            for seq in range(400):
                delta = Delta(message_id, 1, "x", (seq, 0), lambda n=seq + 1: LiveText(1, n, "x" * n))
                await live_text.write(outbox, [delta])

    try:
        loop.run(scenario())
    finally:
        done.set()
        reader.join(30)
    assert seen and all(len(text.content) == text.seq for text in seen)


def test_without_valkey_reading_and_discarding_say_nothing_and_writing_says_so(message_id, settings, loop):
    settings.REDIS_URL = "unix:///nowhere/at.all"
    assert live_text.read(message_id) is None and live_text.seal(message_id, 1) is None
    live_text.discard(message_id)

    async def scenario():
        async with an_outbox() as outbox:
            await live_text.write(outbox, [first_delta(message_id, LiveText(1, 1, "x"))])

    with pytest.raises(valkey.Unavailable):
        loop.run(scenario())


def test_a_seal_before_the_first_delta_lets_none_be_written(message_id, writing):
    """Otherwise an answer that was stopped in its first moment would show a word that is not in its text."""
    assert live_text.seal(message_id, 1) is None
    with pytest.raises(Refused):
        writing(1, "late")
    assert live_text.read(message_id) is None
    writing(2, "new")
    assert live_text.read(message_id) == LiveText(2, 1, "new")


def test_an_attempt_that_is_over_writes_nothing_even_when_it_brings_the_whole_text(message_id, writing, loop):
    text = writing(1, "As far")
    live_text.seal(message_id, 1)
    live_text.close(message_id, 1)
    assert live_text.read(message_id) is None
    with pytest.raises(Refused):
        writing(1, " as", so_far=text)
    assert replace(loop, message_id, 1, "all", 9) == [REFUSED]
    for key in live_text.keys(message_id)[:1]:
        assert 0 < valkey.client().ttl(key) <= KEEP_SECONDS


def test_what_the_model_thinks_is_counted_for_itself_and_read_with_the_text_of_the_same_moment(message_id, writing):
    text = writing(1, "[Hm", "[, 👋🏽", "As ", "[ wait", "far")
    assert text == LiveText(1, 2, "As far", Reasoned("Hm, 👋🏽 wait", 3, 1.5))
    assert live_text.read(message_id) == text and live_text.seal(message_id, 1) == text
    with pytest.raises(Refused):
        writing(1, "[ late", so_far=text)
    assert live_text.read(message_id) == text


def test_a_later_attempt_takes_thoughts_over_with_its_own(message_id, writing):
    old = writing(1, "[old", "text")
    writing(2, "[new")
    assert live_text.read(message_id) == LiveText(2, 0, "", Reasoned("new", 1, 1.5))
    with pytest.raises(Refused):
        writing(1, "[late", so_far=old)


def test_thoughts_that_valkey_lost_come_whole_with_the_next_one(message_id, writing):
    text = writing(1, "[One", "word")
    valkey.client().delete(*live_text.keys(message_id))
    writing(1, "[ two", so_far=text)
    assert live_text.read(message_id) == LiveText(1, 1, "word", Reasoned("One two", 2, 1.5))
