"""Whoever joins, whenever, sees the text so far and then every later piece once: to the letter."""

from __future__ import annotations

import random
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.provider import ProviderProcess, expected_text, expected_tokens

from .people import Person, tagged
from .running import Product
from .viewer import Message

ANSWERS, VIEWERS_OF_EACH, AT_ONCE = 50, 4, 5


def test_each_moment_to_join_shows_the_text_to_the_letter(provider: ProviderProcess, alice: Person) -> None:
    """At the start, within a character of several code points, between the last delta and the end, after the end."""
    tokens = expected_tokens("unicode")
    inside = next(i for i, token in enumerate(tokens) if token == "\u200d") + 1  # after a joiner: a broken emoji
    for place in (0, 1, inside, len(tokens) // 2, len(tokens)):
        model = tagged(f"unicode-hold={place}")
        session = alice.new_session(model)
        answer = alice.asked(session)
        provider.wait_for(lambda p, model=model: any(r["held"] for r in p.requests(model)))
        alice.wait_for_text(answer, "".join(tokens[:place]))
        with alice.view(session) as viewer:
            joined = dict(viewer.view.messages[answer])
            assert (joined["status"], joined["content"]) == ("processing", "".join(tokens[:place]))
            assert joined["alive"] and (joined["seq"] > 0) == (place > 0)
            provider.release(model)
            ended = viewer.wait_for_end(answer)
            assert viewer.view.endings[answer].text == expected_text("unicode")
            assert viewer.view.holes == 0
        assert ended["status"] == "success"
        assert ended["content"] == alice.message(answer)["content"] == expected_text("unicode")
        with alice.view(session) as late:
            assert late.view.messages[answer]["content"] == expected_text("unicode")
            assert late.view.seen["message.delta"] == 0


def test_a_question_is_seen_by_who_watches_before_it(alice: Person, bob: Person) -> None:
    session = alice.new_session(tagged("unicode-rate=400"))
    alice.invite(session, bob, "viewer")
    with alice.view(session) as first, bob.view(session) as second:
        assert second.view.you["role"] == "viewer"
        pair = alice.ask(session, "Hello?")
        for viewer in (first, second):
            answer = viewer.wait_for_end(pair["reply"]["id"])
            question = viewer.wait_for_end(pair["message"]["id"])
            assert question["content"] == "Hello?"
            assert answer["content"] == viewer.view.endings[answer["id"]].text == expected_text("unicode")
            assert viewer.view.seen["message.delta"] > 3 and viewer.view.holes == 0
            assert [m["role"] for m in viewer.view.thread] == ["user", "assistant"]


@pytest.mark.parametrize(
    "script", ["markdown-split", "big=200K", "unicode-n20-dribble=0.0002", "words-burst=7-rate=700"]
)
def test_other_texts_and_paces_arrive_whole(alice: Person, script: str) -> None:
    model = tagged(script)
    session = alice.new_session(model)
    with alice.view(session) as viewer:
        answer = alice.asked(session)
        ended = viewer.wait_for_end(answer)
        assert ended["content"] == viewer.view.endings[answer].text == expected_text(model)
        assert alice.message(answer)["content"] == expected_text(model)


def test_thoughts_are_seen_as_they_come_by_who_joins_too_and_are_no_part_of_the_answer(
    provider: ProviderProcess, alice: Person
) -> None:
    model = tagged("words-n5-think=6-hold=4")
    session = alice.new_session(model)
    answer = alice.asked(session)
    alice.wait_for(answer, lambda m: m["reasoning"] and m["reasoning"]["content"] == "r0 r1 r2 r3")
    with alice.view(session) as viewer:
        joined = dict(viewer.view.messages[answer])
        assert (joined["content"], joined["reasoning"]["content"]) == ("", "r0 r1 r2 r3")
        provider.release(model)
        ended = viewer.wait_for_end(answer)
        assert viewer.view.endings[answer].thoughts == ended["reasoning"]["content"] == "r0 r1 r2 r3 r4 r5"
        assert viewer.view.holes == 0 and ended["content"] == expected_text("words-n5")
    assert alice.message(answer)["reasoning"] == ended["reasoning"]


def test_sync_gives_a_snapshot_and_a_bad_frame_an_error(alice: Person) -> None:
    with alice.view(alice.new_session()) as viewer:
        viewer.send({"type": "sync"})
        viewer.wait_for(lambda: viewer.view.seen["session.snapshot"] == 2)
        viewer.send({"type": "ping"})
        viewer.wait_for(lambda: viewer.view.seen["pong"])
        viewer.send({"type": "nonsense"})
        viewer.wait_for(lambda: viewer.view.seen["error"] == 1)


def test_outsiders_and_strangers_are_told_by_the_close_code(product: Product, alice: Person, bob: Person) -> None:
    session = alice.new_session()
    stranger = Person(product.url, "nobody", "wrong-token")
    with stranger, bob.view(session) as outside, stranger.view(session) as unknown:
        outside.wait_for(lambda: outside.codes)
        unknown.wait_for(lambda: unknown.codes)
        assert (outside.codes, unknown.codes) == ([4404], [4401])
        assert not outside.view.messages and not outside.joins


def test_an_address_with_no_socket_is_told_so_and_costs_no_traceback(product: Product) -> None:
    since = len(product.said)
    for path in ("/nothing", "/ws/nothing"):
        with connect(product.url.replace("http", "ws") + path, proxy=None) as socket, pytest.raises(ConnectionClosed):
            socket.recv()
        assert socket.close_code == 4401  # nobody has signed in
    product.assert_no_traceback(since)


def test_a_viewer_whose_token_is_revoked_is_told_to_come_again_and_then_who_it_is(product: Product) -> None:
    """1013 reaches the client as it is: the library below Daphne would send no close code but 1000 and private ones."""
    (carol,) = product.people("carol")
    with carol, carol.view(carol.new_session()) as viewer:
        product.manage(
            "shell", "-c", "from assistant.models import *; ApiToken.objects.filter(user__username='carol').delete()"
        )
        viewer.wait_for(lambda: viewer.is_over)
        assert viewer.codes == [1013, 4401]


@pytest.mark.long
def test_two_hundred_restless_viewers_miss_nothing(product: Product, alice: Person) -> None:
    """Each joins, leaves and joins again at random moments, while several answers are being written."""
    before = len(product.said)  # what failed on purpose in other tests is told with its stack
    seed = secrets.randbelow(10**9)
    print(f"seed {seed}")
    dice = random.Random(seed)
    seeds = [[dice.random() for _ in range(VIEWERS_OF_EACH)] for _ in range(ANSWERS)]
    whole = expected_text("unicode")
    joins = holes = 0
    lock = threading.Lock()

    def watch_restlessly(session: str, answer: str, seed: float) -> None:
        nonlocal joins, holes
        own = random.Random(seed)

        def check(message: Message) -> None:
            assert message["id"] != answer or whole.startswith(message["content"]), message["content"]

        viewer = alice.view(session, check)
        until = time.monotonic() + 60
        while viewer.view.status(answer) in (None, "pending", "processing"):
            assert time.monotonic() < until, f"An answer does not end: {alice.message(answer)}"
            time.sleep(own.choice((0, own.uniform(0, 0.7))))
            viewer.join()
            moment = time.monotonic() + own.choice((0.0, 0.02, own.uniform(0, 0.9)))
            viewer.wait_for(lambda moment=moment: time.monotonic() > moment or answer in viewer.view.endings, 60)
            viewer.leave()
        assert viewer.view.text(answer) == whole
        with lock:
            joins, holes = joins + viewer.joins, holes + viewer.view.holes

    def ask_and_watch(own_seeds: list[float]) -> None:
        session = alice.new_session()
        answer = alice.asked(session, model=tagged("unicode-rate=400"))
        with ThreadPoolExecutor(VIEWERS_OF_EACH) as pool:
            for viewer in [pool.submit(watch_restlessly, session, answer, s) for s in own_seeds]:
                viewer.result()
        stored = alice.message(answer)
        assert (stored["status"], stored["content"], stored["attempt"]) == ("success", whole, 1)

    began = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(ask_and_watch, own) for own in seeds]:
            done.result()
    print(f"{ANSWERS * VIEWERS_OF_EACH} viewers, {joins} joins, {holes} holes closed by a sync, "
          f"{time.monotonic() - began:.1f} s")  # fmt: skip
    product.assert_no_traceback(before)
