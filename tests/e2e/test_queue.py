"""What is asked while an answer is being written waits its turn, visibly; the order is that of the asking."""

from __future__ import annotations

from tests.provider import ProviderProcess, expected_text

from .people import Person, tagged


def test_questions_wait_and_are_answered_in_order(provider: ProviderProcess, alice: Person, bob: Person) -> None:
    model = tagged("words-n3-hold=1")
    session = alice.new_session(model)
    alice.invite(session, bob)
    with bob.view(session) as viewer:
        first = alice.asked(session, "one")
        provider.wait_for(lambda p: p.requests(model))
        waiting = [alice.ask(session, "two"), bob.ask(session, "three"), alice.ask(session, "four")]
        for pair, author in zip(waiting, ("alice", "bob", "alice"), strict=True):
            assert pair["reply"] is None
            assert (pair["message"]["status"], pair["message"]["author"]["name"]) == ("pending", author)
            assert alice.message(pair["message"]["id"])["alive"]
        viewer.wait_for(lambda: all(p["message"]["id"] in viewer.view.messages for p in waiting))
        provider.release(model)
        viewer.wait_for_end(first)
        viewer.wait_for(lambda: sum(m["status"] == "success" for m in viewer.view.messages.values()) == 8)
        assert viewer.view.holes == 0
    stored = alice.messages(session)
    assert [m["role"] for m in stored] == ["user", "assistant"] * 4
    assert [m["content"] for m in stored[::2]] == ["one", "two", "three", "four"]
    assert all(m["content"] == expected_text("words-n3") for m in stored[1::2])
    assert [answer["reply_to"] for answer in stored[1::2]] == [question["id"] for question in stored[::2]]
    assert [r["question"].removeprefix("alice: ").removeprefix("bob: ") for r in provider.requests(model)] == [
        "one", "two", "three", "four",
    ]  # fmt: skip


def test_a_waiting_question_is_changed_or_withdrawn_by_its_author_only(
    provider: ProviderProcess, alice: Person, bob: Person
) -> None:
    model = tagged("words-n3-hold=1")
    session = alice.new_session(model)
    alice.invite(session, bob)
    first = alice.asked(session, "one")
    gone, kept = (bob.ask(session, text)["message"]["id"] for text in ("withdrawn", "before"))
    assert alice.http.delete(f"/api/messages/{gone}").status_code == 403
    withdrawn = bob.http.delete(f"/api/messages/{gone}")
    assert (withdrawn.status_code, withdrawn.json()["status"]) == (200, "cancelled")
    assert bob.http.delete(f"/api/messages/{gone}").status_code == 409
    edited = bob.http.patch(f"/api/messages/{kept}", json={"content": "after"})
    assert (edited.status_code, edited.json()["content"]) == (200, "after")
    provider.release(model)
    alice.wait_for_end(first)
    alice.wait_for(kept, lambda m: m["status"] == "success")
    late = bob.http.patch(f"/api/messages/{kept}", json={"content": "too late"})
    assert (late.status_code, late.json()["code"]) == (409, "already_promoted")
    reply = next(m for m in alice.messages(session) if m["reply_to"] == kept)
    assert alice.wait_for_end(reply["id"])["status"] == "success"
    assert [r["question"].removeprefix("bob: ").removeprefix("alice: ") for r in provider.requests(model)] == [
        "one", "after",
    ]  # fmt: skip


def test_the_same_send_twice_is_one_question_and_one_bill(provider: ProviderProcess, alice: Person) -> None:
    model = tagged("words-n3-hold=1")
    session = alice.new_session(model)
    pairs = [alice.ask(session, "once", client_id="same") for _ in range(3)]
    waiting = [alice.ask(session, "then", client_id="later") for _ in range(2)]
    provider.release(model)
    assert len({(pair["message"]["id"], pair["reply"]["id"]) for pair in pairs}) == 1
    assert len({pair["message"]["id"] for pair in waiting}) == 1
    alice.wait_for_end(pairs[0]["reply"]["id"])
    provider.wait_for(lambda p: [r["ended"] for r in p.requests(model)] == ["completed"] * 2)
    again = alice.ask(session, "once", client_id="same")
    assert (again["message"]["id"], again["reply"]["id"]) == (pairs[0]["message"]["id"], pairs[0]["reply"]["id"])
    assert len(alice.messages(session)) == 4


def test_stopping_an_answer_starts_the_next_question(provider: ProviderProcess, alice: Person) -> None:
    model = tagged("words-silence=3-fails=1")
    session = alice.new_session(model)
    first = alice.asked(session, "one")
    question = alice.ask(session, "two", model=tagged("words-n4"))["message"]["id"]
    alice.wait_for_text(first, expected_text("words-n3"))
    assert alice.stop(first).status_code == 200
    alice.wait_for(question, lambda m: m["status"] == "success")
    reply = next(m for m in alice.messages(session) if m["reply_to"] == question)
    assert alice.wait_for_end(reply["id"])["content"] == expected_text("words-n4")


def test_after_a_failure_the_queue_rests_until_somebody_goes_on(provider: ProviderProcess, alice: Person) -> None:
    failing = tagged("words-hold=2-cut=3")
    session = alice.new_session(tagged("words-n3"))
    with alice.view(session) as viewer:
        first = alice.asked(session, model=failing)
        waiting = alice.ask(session, "waits")["message"]
        assert waiting["status"] == "pending"
        provider.release(failing)
        assert viewer.wait_for_end(first)["error"]["code"] == "provider_error"
        viewer.wait_for(lambda: viewer.view.session["queue_paused_until"])
        resting = alice.message(waiting["id"])
        assert (resting["status"], resting["alive"]) == ("pending", True)
        other = alice.wait_for_end(alice.asked(alice.new_session(), model=tagged("words-n1")))
        assert other["status"] == "success", "another session is not held up"
        assert alice.http.post(f"/api/sessions/{session}/resume").status_code == 200
        viewer.wait_for(lambda: viewer.view.status(waiting["id"]) == "success")
        reply = viewer.wait_for(
            lambda: next((m for m in viewer.view.messages.values() if m["reply_to"] == waiting["id"]), None)
        )
        assert viewer.wait_for_end(reply["id"])["content"] == expected_text("words-n3")
        assert viewer.view.session["queue_paused_until"] is None


def test_sending_one_now_and_interrupting_keep_what_was_written(
    provider: ProviderProcess, alice: Person, bob: Person
) -> None:
    slow, quick = tagged("words-hold=3"), tagged("words-n2")
    session = alice.new_session(slow)
    alice.invite(session, bob)
    with bob.view(session) as viewer:
        first = alice.asked(session, "one")
        later, now = (alice.ask(session, text, model=quick)["message"]["id"] for text in ("later", "now"))
        viewer.wait_for(lambda: viewer.view.text(first) == expected_text("words-n3"))
        sent = bob.http.post(f"/api/messages/{now}/send-now")
        assert sent.status_code == 200, sent.text
        stopped = viewer.wait_for_end(first)
        assert (stopped["status"], stopped["content"]) == ("cancelled", expected_text("words-n3"))
        assert stopped["stopped_by"]["name"] == "bob"
        viewer.wait_for(lambda: viewer.view.status(later) == "success")
        viewer.wait_for(lambda: sum(m["status"] == "success" for m in viewer.view.messages.values()) == 5)

        held = alice.asked(session, "two")
        viewer.wait_for(lambda: viewer.view.text(held) == expected_text("words-n3"))
        body = {"client_id": "stop!", "content": "three", "model": quick, "when": "interrupt"}
        answer = bob.http.post(f"/api/sessions/{session}/messages", json=body).json()["reply"]["id"]
        assert viewer.wait_for_end(answer)["content"] == expected_text("words-n2")
        assert (viewer.view.status(held), viewer.view.holes) == ("cancelled", 0)
    asked = [m["content"] for m in alice.messages(session) if m["role"] == "user"]
    assert asked == ["one", "now", "later", "two", "three"]
    assert [r["question"].partition(": ")[2] or r["question"] for r in provider.requests(quick)] == [
        "now", "later", "three",
    ]  # fmt: skip


def test_a_steering_message_joins_the_running_answer_behind_its_tools_results(
    provider: ProviderProcess, alice: Person, bob: Person
) -> None:
    model = tagged("words-n6-tool=current_time-preamble=3-hold=2")
    session = alice.new_session(model)
    alice.invite(session, bob)
    assert alice.http.patch(f"/api/sessions/{session}", json={"services": ["clock"]}).status_code == 200
    with bob.view(session) as viewer:
        answer = alice.asked(session, "What time is it?")
        provider.wait_for(lambda p: p.held() > 0)
        body = {"client_id": "steer", "content": "In Tokyo, please.", "when": "steer"}
        steering = bob.http.post(f"/api/sessions/{session}/messages", json=body).json()["message"]
        assert (steering["status"], steering["when"]) == ("pending", "steer")
        provider.release(model)
        assert viewer.wait_for_end(answer)["status"] == "success"
        taken = viewer.wait_for(lambda: viewer.view.messages.get(steering["id"], {}).get("taken_by") and viewer.view)
        assert taken.messages[steering["id"]]["taken_by"] == answer
        assert (taken.messages[steering["id"]]["status"], taken.messages[steering["id"]]["taken_round"]) == (
            "success",
            1,
        )
    told = provider.requests(model)[-1]["body"]["messages"]
    # The scripted model asks for the tool once more after each message of a person's.
    assert [line["role"] for line in told] == [
        "system", "user", "assistant", "tool", "assistant", "user", "assistant", "tool",
    ]  # fmt: skip
    assert told[5]["content"] == "bob: In Tokyo, please."
    assert [m["role"] for m in alice.messages(session)].count("assistant") == 1, "it has no answer of its own"
