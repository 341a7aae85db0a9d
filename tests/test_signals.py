"""What a project may connect to: each signal comes once, after the commit, and no receiver can harm an answer."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django_q.models import OrmQ

from assistant import signals
from assistant.lifecycle import answering, approving, asking, people, recovery, rounds
from assistant.lifecycle.answering import Failure, Written
from assistant.lifecycle.call_endings import close_calls
from assistant.lifecycle.rounds import CallResult, NewCall
from assistant.models import Invitation, Message, Participant, ToolCall, UsageRecord
from assistant.models.ids import new_id
from assistant.models.message import Claim
from assistant.models.tool_call import CallStatus
from assistant.signals import person_joined, tool_call_ended, turn_ended
from tests.acting import a_worker, answer_of, ask, claimed, fail, finish, jobs, kill, now

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def connected(signal, receiver):
    signal.connect(receiver, weak=False)
    try:
        yield
    finally:
        signal.disconnect(receiver)


@pytest.fixture
def told():
    """What signals have told, and whether it was committed by then."""
    noted = []

    def note(sender, signal, **what):
        assert not connection.in_atomic_block
        noted.append((sender, what))

    with connected(turn_ended, note), connected(tool_call_ended, note), connected(person_joined, note):
        yield noted


def of(told, sender):
    return [what for its, what in told if its is sender]


# --- a turn ended ---


def test_an_answer_that_succeeds_fails_or_is_stopped_is_told_once(session, alice, bob, worker, told):
    done = answer_of(ask(session, alice))
    finish(claimed(done, worker))
    failed = answer_of(ask(session, bob))
    fail(claimed(failed, worker))
    assert not finish(Claim(failed.pk, session.pk, worker.pk, attempt=1))  # a late worker
    stopped = answer_of(ask(session, alice))
    asking.cancel(stopped, bob)
    whole = {"session_id": session.pk, "model": done.model}
    assert of(told, Message) == [
        {"message_id": done.pk, "status": "success", "error_code": "", "user_id": alice.pk, **whole},
        {"message_id": failed.pk, "status": "error", "error_code": "provider_error", "user_id": bob.pk, **whole},
        {"message_id": stopped.pk, "status": "cancelled", "error_code": "", "user_id": alice.pk, **whole},
    ]
    assert [now(message).status for message in (done, failed, stopped)] == ["success", "error", "cancelled"]


def test_what_recovery_gives_up_and_what_no_budget_is_left_for_has_ended_too(session, alice, worker, told, settings):
    answer = answer_of(ask(session, alice))
    recovery.give_up(now(answer))
    running = answer_of(ask(session, alice))
    waits = ask(session, alice, "waits").message
    settings.ASSISTANT_BUDGET_TOKENS = 1
    UsageRecord.objects.create(id=new_id(), user=alice, model="test/model", prompt_tokens=5, completion_tokens=0)
    finish(claimed(running, worker))
    refusal = Message.objects.get(reply_to=waits)
    assert [(told["message_id"], told["error_code"]) for told in of(told, Message)] == [
        (answer.pk, "abandoned"), (running.pk, ""), (refusal.pk, "over_quota"),
    ]  # fmt: skip


def test_an_answer_that_only_changes_hands_has_not_ended(session, alice, worker, told):
    answer = answer_of(ask(session, alice))
    claimed(answer, worker)
    kill(worker)
    recovery.sweep()
    assert now(answer).status == "pending" and of(told, Message) == []


def test_what_is_rolled_back_is_not_told(session, alice, told):
    answer = answer_of(ask(session, alice))
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        asking.cancel(answer, alice)
        raise ZeroDivisionError
    assert now(answer).status == "pending" and told == []


# --- a tool call ended ---


@pytest.fixture
def asked(session, alice, worker):
    """A claim whose answer asks for three calls: one that runs, one that is to be allowed, one that waits."""
    claim = claimed(answer_of(ask(session, alice)), worker)
    wanted = [NewCall("1", "clock", "{}", "Clock"), NewCall("2", "wipe", "{}", "Wipe", needs_approval=True)]
    wanted.append(NewCall("3", "page", "{}", "Page"))
    assert rounds.open_round(claim, Written("", 0), 1, wanted)
    return claim


def call(name):
    return ToolCall.objects.select_related("message").get(name=name)


def ends(told):
    return [(what["name"], what["status"]) for what in of(told, ToolCall)]


def test_a_call_is_told_with_its_first_result(asked, told):
    rounds.begin_calls(asked, [call("clock")])
    assert rounds.settle(asked, call("clock"), CallResult(CallStatus.SUCCESS, "noon"))
    assert rounds.settle(asked, call("clock"), CallResult(CallStatus.ERROR, "late"))
    [what] = of(told, ToolCall)
    assert what == {
        "call_id": call("clock").pk, "message_id": asked.message_id, "name": "clock", "status": "success",
    }  # fmt: skip


def test_calls_that_are_denied_or_get_no_result_are_told_too(asked, alice, told):
    approving.deny(call("wipe"), alice)
    assert ends(told) == [("wipe", "cancelled")]
    finish(asked)
    assert ends(told)[1:] == [("clock", "cancelled"), ("page", "cancelled")]


def test_a_call_whose_worker_died_is_told_as_interrupted(asked, worker, told):
    rounds.begin_calls(asked, [call("clock")])
    kill(worker)
    recovery.sweep()
    claimed(now(call("clock").message), a_worker("another"))
    assert ends(told) == [("clock", "interrupted")]


# --- a person joined ---


def test_who_joins_is_told_once_and_who_makes_a_session_is_not(session, alice, charlie, told):
    invitation, _ = Invitation.issue(session, alice, "viewer")
    people.join(invitation, charlie)
    people.join(invitation, charlie)
    assert of(told, Participant) == [{"session_id": session.pk, "user_id": charlie.pk, "role": "viewer"}]


# --- receivers ---


def test_a_receiver_that_fails_is_logged_and_harms_neither_the_answer_nor_other_receivers(
    session, alice, worker, told, caplog
):
    def fails(**what):
        raise ZeroDivisionError("a receiver's own fault")

    with connected(turn_ended, fails):
        answer = answer_of(ask(session, alice))
        waiting = ask(session, alice, "next").message
        finish(claimed(answer, worker))
    assert now(answer).status == "success" and len(of(told, Message)) == 1
    assert now(waiting).status == "success" and len(jobs()) == 1  # the queue goes on
    assert "a receiver's own fault" in caplog.text


def test_a_receiver_that_keeps_others_waiting_is_named_in_the_log(session, alice, worker, caplog, monkeypatch):
    monkeypatch.setattr(signals, "SLOW_SECONDS", 0.01)
    with connected(turn_ended, lambda **what: time.sleep(0.02)):
        finish(claimed(answer_of(ask(session, alice)), worker))
    assert "The receivers of a signal of Message took" in caplog.text


def test_where_nobody_listens_nothing_is_asked_for(asked):
    with CaptureQueriesContext(connection) as queries:
        close_calls(asked.message_id)
    assert [query["sql"].split()[0] for query in queries] == ["UPDATE"]


ROOT = Path(__file__).parents[1]


@pytest.fixture
def example():
    """The block of docs/embedding.md that connects a receiver."""
    guide = (ROOT / "docs" / "embedding.md").read_text()
    [block] = [block for block in guide.split("```python\n") if "turn_ended.connect" in block]
    return block.split("```")[0]


LOADED = """
import django
django.setup()
from assistant.signals import turn_ended
from mine.apps import tell
assert turn_ended.disconnect(tell), "it was not connected"
"""


def test_the_guide_s_example_can_be_the_apps_py_of_an_app(example, tmp_path):
    """Which Django loads before any model: in a process where all is loaded already nothing would be noticed."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").touch()
    (tmp_path / "mine" / "apps.py").write_text(example)
    (tmp_path / "with_mine.py").write_text(
        "from tests.embedded_project.settings import *\nINSTALLED_APPS = ['mine', *INSTALLED_APPS]\n"
    )
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "with_mine", "PYTHONPATH": f"{tmp_path}:{ROOT}", "EMBEDDED_DATA": str(tmp_path),
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", LOADED], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_the_guide_s_example_works(example, session, alice, worker):
    names: dict = {}
    exec(example, names)
    names["MyApp"].ready(None)
    refused = answer_of(ask(session, alice))
    try:
        answering.fail(claimed(refused, worker), Written("", 0), Failure.of("auth"))
        fail(claimed(answer_of(ask(session, alice)), worker))
    finally:
        turn_ended.disconnect(names["tell"])
    queued = [row.task for row in OrmQ.objects.all() if row.task["func"] == "mine.tasks.tell_admins"]
    assert [task["args"] for task in queued] == [(str(refused.pk),)]
