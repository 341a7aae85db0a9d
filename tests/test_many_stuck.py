"""Thousands of stuck answers are brought on in bounded batches, each once, and none of them hides another."""

import sys
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django_q.models import OrmQ

from assistant.lifecycle import recovery
from assistant.management.commands import cleanup_messages
from assistant.models import ChatSession, Message
from assistant.models.message import MessageRole, Status
from tests.acting import a_worker, answer_of, ask, claimed, jobs, kill, now

pytestmark = pytest.mark.django_db(transaction=True)

MANY = 2_000


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def stuck_answers(count: int) -> list[Message]:
    """Each in a session of its own, of a worker that is dead."""
    worker = a_worker("dead")
    kill(worker)
    rooms = ChatSession.objects.bulk_create([ChatSession(title=f"Room {n}") for n in range(count)])
    questions = Message.objects.bulk_create(
        [
            Message(session=room, role=MessageRole.USER, content="Well?", status=Status.SUCCESS, position=1)
            for room in rooms
        ]
    )
    return Message.objects.bulk_create(
        [
            Message(
                session=question.session, role=MessageRole.ASSISTANT, reply_to=question, status=Status.PROCESSING,
                worker=worker, attempt=1, position=2, model="test/model",
            )
            for question in questions
        ]
    )  # fmt: skip


@pytest.mark.long
def test_thousands_are_swept_in_batches_and_each_once(session, alice, worker, settings):
    lives = answer_of(ask(session, alice))
    claimed(lives, worker)
    settings.ASSISTANT_LEASE = 1800  # it lives through the test
    stuck_answers(MANY)
    handled = []
    while outcome := recovery.sweep():
        assert set(outcome) == {"recovered"} and outcome["recovered"] <= recovery.BATCH
        handled.append(outcome["recovered"])
    assert sum(handled) == MANY and len(handled) >= MANY / recovery.BATCH
    assert Message.objects.filter(status=Status.PENDING, recoveries=1, worker=None).count() == MANY
    assert OrmQ.objects.count() == len(set(jobs())) == MANY, "each has one job"
    assert now(lives).status == "processing"


def test_rows_that_fail_each_time_hide_no_others(monkeypatch):
    bad = {message.pk for message in stuck_answers(2 * recovery.BATCH + 10)[: 2 * recovery.BATCH]}
    real = recovery.recover

    def recover(message):
        if message.pk in bad:
            raise ValueError("a broken row")
        return real(message)

    monkeypatch.setattr(recovery, "recover", recover)
    monkeypatch.setattr(recovery, "_swept_to", None)
    outcomes = [recovery.sweep() for _ in range(3)]
    assert sum(outcome.get("recovered", 0) for outcome in outcomes) == 10


def test_a_bar_tells_somebody_who_looks_on_how_far_it_is(monkeypatch):
    stuck_answers(cleanup_messages.MANY)
    seen, printed = Terminal(), StringIO()
    monkeypatch.setattr(sys, "stderr", seen)
    call_command("cleanup_messages", stdout=printed)
    assert f"/{cleanup_messages.MANY}" in seen.getvalue() and "answer" in seen.getvalue()
    assert f"{cleanup_messages.MANY} stuck messages handled." in printed.getvalue()


@pytest.mark.parametrize(("rows", "where"), [(50, StringIO), (3, Terminal)], ids=["cron", "few rows"])
def test_otherwise_there_is_no_bar(monkeypatch, rows, where):
    stuck_answers(rows)
    seen = where()
    monkeypatch.setattr(sys, "stderr", seen)
    call_command("cleanup_messages", stdout=StringIO())
    assert seen.getvalue() == ""


def exit_code(*arguments: str) -> int:
    try:
        call_command("cleanup_messages", *arguments, stdout=StringIO())
    except CommandError as error:
        return error.returncode
    return 0


def test_the_exit_codes_are_for_cron(monkeypatch):
    stuck_answers(2)
    assert exit_code("--dry-run") == 0
    assert exit_code("--older-than", "-1") == 2

    def fail(error):
        def recover(message, may_retry=True):
            raise error

        return recover

    real = recovery.recover
    monkeypatch.setattr(recovery, "recover", fail(ValueError("a broken row")))
    assert exit_code() == 1
    monkeypatch.setattr(recovery, "recover", fail(OperationalError("the server closed the connection")))
    assert exit_code() == 3
    monkeypatch.setattr(recovery, "recover", real)
    assert exit_code() == 0 and recovery.count_stuck_answers() == 0
