"""Stop ends the provider's stream, keeps what was shown to the letter, and says who stopped it."""

from __future__ import annotations

import random
import secrets
import time

from tests.provider import ProviderProcess, expected_text

from .people import Person, tagged
from .running import Product

REACHES_THE_PROVIDER_SECONDS = 10.0  # generous: a loaded machine. The figures are printed


def test_stop_reaches_the_provider_and_keeps_the_text(provider: ProviderProcess, alice: Person, bob: Person) -> None:
    delays = []
    for _ in range(5):
        model = tagged("unicode-n100000-rate=300")
        session = alice.new_session(model)
        alice.invite(session, bob)
        with alice.view(session) as first, bob.view(session) as second:
            answer = alice.asked(session)
            first.wait_for(lambda first=first, answer=answer: len(first.view.text(answer)) > 30)
            asked_at = time.monotonic()
            response = bob.stop(answer)
            assert response.status_code == 200, response.text
            record = provider.wait_for(
                lambda p, model=model: next((r for r in p.requests(model) if r["ended"]), None)
            )
            assert record["ended"] == "disconnected"
            delays.append(record["ended_at"] - asked_at)
            stored = alice.message(answer)
            assert stored["status"] == "cancelled" and stored["stopped_by"]["name"] == "bob"
            assert stored["content"] and expected_text(model).startswith(stored["content"])
            for viewer in (first, second):
                assert viewer.wait_for_end(answer)["content"] == stored["content"] == response.json()["content"]
                assert stored["content"].startswith(viewer.view.endings[answer].text), "a shown letter was taken back"
                assert viewer.view.holes == 0
            assert alice.message(answer)["content"] == stored["content"]
    print("Stop reached the provider after (ms):", [round(delay * 1000) for delay in delays])
    assert max(delays) < REACHES_THE_PROVIDER_SECONDS


def test_stop_ends_a_silence(provider: ProviderProcess, alice: Person) -> None:
    """A model that says nothing is left as quickly as one that talks: no next piece is waited for."""
    for script, kept in (("words-hang", ""), ("words-silence=5", expected_text("words-n5"))):
        model = tagged(script)
        answer = alice.asked(alice.new_session(model))
        provider.wait_for(lambda p, model=model: p.requests(model))
        alice.wait_for_text(answer, kept)
        asked_at = time.monotonic()
        assert alice.stop(answer).status_code == 200
        record = provider.wait_for(lambda p, model=model: next((r for r in p.requests(model) if r["ended"]), None))
        print(f"{script}: {(record['ended_at'] - asked_at) * 1000:.0f} ms")
        assert alice.message(answer)["content"] == kept


def test_stop_before_a_worker_has_it(provider: ProviderProcess, product: Product, alice: Person) -> None:
    model = tagged("words")
    session = alice.new_session(model)
    with alice.view(session) as viewer:
        with product.frozen_workers():
            answer = alice.asked(session)
            waiting = alice.message(answer)
            assert (waiting["status"], waiting["alive"]) == ("pending", True)
            assert alice.stop(answer).status_code == 200
        ended = viewer.wait_for_end(answer)
        assert (ended["status"], ended["content"], ended["attempt"]) == ("cancelled", "", 0)
        again = alice.wait_for_end(alice.asked(session))  # the workers work, and they left the stopped one alone
    assert again["status"] == "success"
    assert alice.message(answer)["status"] == "cancelled"
    assert len(provider.requests(model)) == 1


def test_a_second_stop_is_told_that_it_came_late(alice: Person) -> None:
    finished = alice.wait_for_end(alice.asked(alice.new_session(), model=tagged("words-n2")))
    stopped = alice.asked(alice.new_session(), model=tagged("words-hang"))
    assert alice.stop(stopped).status_code == 200
    for message in (stopped, finished["id"], stopped):
        late = alice.stop(message)
        assert (late.status_code, late.json()["code"]) == (409, "already_finished")
    assert alice.message(finished["id"])["status"] == "success"


def test_a_stopped_answer_can_be_asked_for_again(alice: Person) -> None:
    model = tagged("words-silence=5-fails=1")
    session = alice.new_session(model)
    answer = alice.asked(session)
    alice.wait_for_text(answer, expected_text("words-n5"))
    assert alice.stop(answer).status_code == 200
    assert alice.wait_for_end(alice.retry(answer))["content"] == expected_text("words")


def test_stop_and_finish_at_once_have_one_winner(alice: Person) -> None:
    """Race 31. Whoever wins, what viewers saw and what is stored agree, and the row says one thing."""
    seed = secrets.randbelow(10**9)
    print(f"seed {seed}")
    dice = random.Random(seed)
    outcomes = {"success": 0, "cancelled": 0}
    session = alice.new_session(tagged("words-n40-rate=400"))
    with alice.view(session) as viewer:
        for _ in range(30):
            answer = alice.asked(session)
            time.sleep(
                dice.choice((dice.uniform(0, 0.08), dice.uniform(0.05, 0.25)))
            )  # before its first piece, or later
            response = alice.stop(answer)
            ended = viewer.wait_for_end(answer)
            assert (ended["status"] == "cancelled") == (response.status_code == 200), (ended, response.text)
            assert alice.message(answer)["content"] == ended["content"]
            assert ended["content"].startswith(viewer.view.endings[answer].text), "a shown letter was taken back"
            assert expected_text("words-n40").startswith(ended["content"])
            outcomes[ended["status"]] += 1
    print(outcomes)


def test_deleting_a_session_in_mid_answer_ends_it_quietly(
    provider: ProviderProcess, product: Product, alice: Person
) -> None:
    before = len(product.said)  # what failed on purpose in other tests is told with its stack
    model, other_model = tagged("words-n100000-rate=100"), tagged("words-hold=10")
    session, other = alice.new_session(model), alice.new_session(other_model)
    with alice.view(session) as viewer:
        answer, kept = alice.asked(session), alice.asked(other)
        viewer.wait_for(lambda: len(viewer.view.text(answer)) > 30)
        alice.wait_for_text(kept, expected_text("words-n10"))
        assert alice.http.delete(f"/api/sessions/{session}").status_code == 204
        viewer.wait_for(lambda: viewer.codes == [4404])
        provider.wait_for(lambda p: p.requests(model)[0]["ended"] == "disconnected")
    assert alice.http.get(f"/api/messages/{answer}").status_code == 404
    provider.release(other_model)
    assert alice.wait_for_end(kept)["content"] == expected_text("words")
    product.assert_no_traceback(before)
