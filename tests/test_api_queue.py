"""The queue and the settings of a session over HTTP."""

import pytest

from tests.acting import answer_of, ask, claimed, fail, finish, now, queued, running, write
from tests.calling import Caller, content, problem

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def path(session):
    return f"/sessions/{session.pk}"


@pytest.fixture
def as_alice(alice):
    return Caller(alice)


@pytest.fixture
def as_bob(bob):
    return Caller(bob)


@pytest.fixture
def waiting(session, alice, bob):
    answer_of(ask(session, alice, "first"))
    return [ask(session, who, name).message for name, who in (("a", alice), ("b", bob), ("c", bob))]


def test_an_author_moves_their_own_and_the_owner_any(session, waiting, as_alice, as_bob):
    a, b, c = waiting
    moved = as_bob("post", f"/messages/{c.pk}/move", {"before": str(a.pk)})
    assert (moved.status_code, moved.json()["position"]) == (200, a.position) and queued(session) == ["c", "a", "b"]
    problem(as_bob("post", f"/messages/{a.pk}/move", {"before": None}), 403, "not_yours")
    assert as_alice("post", f"/messages/{b.pk}/move", {"before": str(c.pk)}).status_code == 200
    assert queued(session) == ["b", "c", "a"]
    assert as_alice("post", f"/messages/{b.pk}/move", {}).status_code == 200, "no place is the end"
    assert queued(session) == ["c", "a", "b"]


def test_a_move_that_comes_late_is_told_so(session, waiting, as_bob):
    a, b, _ = waiting
    as_bob("post", f"/messages/{b.pk}/send-now")
    problem(as_bob("post", f"/messages/{b.pk}/move", {"before": str(a.pk)}), 409, "already_promoted")
    problem(as_bob("post", f"/messages/{waiting[2].pk}/move", {"before": str(b.pk)}), 409, "not_waiting")
    for body in ({"before": 7}, {"before": "x"}, {"after": str(a.pk)}):
        problem(as_bob("post", f"/messages/{waiting[2].pk}/move", body), 422, "invalid")


def test_an_editor_sends_anyone_s_message_now(session, waiting, as_bob):
    first = running(session)
    pair = as_bob("post", f"/messages/{waiting[0].pk}/send-now")
    assert pair.status_code == 200
    assert pair.json()["message"]["status"] == "success" and pair.json()["reply"]["reply_to"] == str(waiting[0].pk)
    assert now(first).status == "cancelled" and queued(session) == ["b", "c"]
    problem(as_bob("post", f"/messages/{waiting[0].pk}/send-now"), 409, "already_promoted")


def test_a_message_says_what_it_does_while_an_answer_is_written(session, alice, worker, as_bob, path):
    answer = answer_of(ask(session, alice))
    claim = claimed(answer, worker)
    for when in ("queue", "steer"):
        sent = as_bob("post", f"{path}/messages", content() | {"when": when}).json()
        assert (sent["message"]["status"], sent["message"]["when"], sent["reply"]) == ("pending", when, None)
    write(claim, "so far", 1)
    sent = as_bob("post", f"{path}/messages", content() | {"when": "interrupt"}).json()
    assert sent["message"]["status"] == "success" and sent["reply"]["status"] == "pending"
    assert (now(answer).status, now(answer).content) == ("cancelled", "so far")
    problem(as_bob("post", f"{path}/messages", content() | {"when": "later"}), 422, "invalid")


def test_resume_says_what_it_was_paused_for_until_then(session, alice, worker, as_bob, path):
    claim = claimed(answer_of(ask(session, alice)), worker)
    ask(session, alice, "waits")
    fail(claim)
    paused = as_bob("get", path).json()
    assert paused["queue_paused_until"] and paused["queue_paused_for"]["code"] == "provider_error"
    assert paused["queue_paused_for"]["detail"].endswith(".")
    resumed = as_bob("post", f"{path}/resume").json()
    assert (resumed["queue_paused_until"], resumed["queue_paused_for"], resumed["running"]) == (None, None, True)


# --- settings ---


def test_an_editor_changes_the_settings_one_by_one(session, as_bob, path):
    before = as_bob("get", path).json()
    assert (before["system_prompt"], before["parameters"], before["replies"], before["when_busy"]) == (
        "", {}, "every", "queue",
    )  # fmt: skip
    for change in (
        {"system_prompt": "Be brief."},
        {"parameters": {"temperature": 0.2, "top_p": 1, "max_tokens": 64, "reasoning_effort": "low"}},
        {"replies": "mention"},
        {"when_busy": "interrupt"},
        {"parameters": {"temperature": None, "max_tokens": 65}},
    ):
        assert as_bob("patch", path, change).status_code == 200
    after = as_bob("get", path).json()
    assert after["parameters"] == {"top_p": 1, "max_tokens": 65, "reasoning_effort": "low"}
    assert (after["system_prompt"], after["replies"], after["when_busy"]) == ("Be brief.", "mention", "interrupt")
    assert after["title"] == before["title"] and after["model"] == before["model"]


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": {"temperature": 2.1}},
        {"parameters": {"temperature": -0.1}},
        {"parameters": {"temperature": "hot"}},
        {"parameters": {"top_p": 1.01}},
        {"parameters": {"max_tokens": 0}},
        {"parameters": {"max_tokens": 1.5}},
        {"parameters": {"reasoning_effort": "extreme"}},
        {"parameters": {"api_key": "x"}},
        {"parameters": []},
        {"replies": "never"},
        {"when_busy": "shout"},
        {"system_prompt": "x" * 20_001},
        {"system_prompt": "a\x00b"},
    ],
    ids=str,
)
def test_what_is_out_of_range_is_refused_and_changes_nothing(as_bob, path, change):
    before = as_bob("get", path).json()
    problem(as_bob("patch", path, change | {"title": "New"}), 422, "invalid")
    problem(as_bob("post", "/sessions", change), 422, "invalid")
    assert as_bob("get", path).json() == before


def test_not_a_number_is_not_a_temperature(as_bob, path):
    raw = b'{"parameters": {"temperature": NaN}}'
    assert as_bob("patch", path, raw=raw).status_code == 422


def test_a_session_is_made_with_its_settings(as_bob):
    made = as_bob(
        "post", "/sessions", {"system_prompt": "Be kind.", "parameters": {"top_p": 0.5}, "replies": "mention"}
    )
    assert made.status_code == 201
    found = as_bob("get", f"/sessions/{made.json()['id']}").json()
    assert (found["system_prompt"], found["parameters"], found["replies"]) == ("Be kind.", {"top_p": 0.5}, "mention")


def test_an_answer_says_what_it_was_asked_with(session, alice, worker, as_bob, path):
    as_bob("patch", path, {"system_prompt": "Be brief.", "parameters": {"temperature": 0}})
    answer = answer_of(ask(session, alice))
    finish(claimed(answer, worker))
    as_bob("patch", path, {"system_prompt": "Be long.", "parameters": {"temperature": 1}})
    told = as_bob("get", f"/messages/{answer.pk}").json()["settings"]
    assert told["parameters"] == {"temperature": 0} and told["system_prompt"] == str(now(answer).system_prompt_id)
    assert as_bob("get", f"/messages/{answer.pk}/settings").json() == {
        "model": "test/model", "parameters": {"temperature": 0}, "system_prompt": "Be brief.",
    }  # fmt: skip
    problem(as_bob("get", f"/messages/{answer.reply_to_id}/settings"), 422, "not_an_answer")
