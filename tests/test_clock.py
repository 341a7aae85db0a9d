"""One clock for all processes: the database's. What a host's own says decides nothing."""

import dataclasses
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone
from django_q.models import OrmQ, Schedule
from django_q.tasks import async_task

from assistant import outage, tasks
from assistant.delivery import clock, queue
from assistant.lifecycle import claiming, joining, recovery
from assistant.models import ApiToken, ChatSession, Invitation, Message, UsageRecord, WorkerProcess
from assistant.models.participant import Role
from assistant.worker.lease import Lease
from tests.acting import a_worker, answer_of, ask, claimed, fail, now

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)
ROOT = Path(__file__).parent.parent / "assistant"


@pytest.fixture
def at(monkeypatch):
    """From the call on this process is of a host whose clock is so far off."""
    real, real_now = time.time, timezone.now

    def be(off):
        monkeypatch.setattr(time, "time", lambda: real() + off.total_seconds())
        monkeypatch.setattr(timezone, "now", lambda: real_now() + off)

    return be


def true_time():
    return datetime.now(UTC)


@pytest.fixture(params=[HOUR, -HOUR], ids=["ahead", "behind"])
def off(request):
    return request.param


def test_the_time_is_the_same_on_every_host(at, off):
    at(off)
    assert abs(clock.now() - true_time()) < timedelta(seconds=1)
    assert clock.today() == timezone.localdate(true_time())


def test_a_clock_that_jumps_is_noticed_at_once_and_changes_nothing(at, off):
    before = clock.now()
    at(off)
    assert abs(clock.now() - before) < timedelta(seconds=5)
    at(timedelta(0))
    assert abs(clock.now() - before) < timedelta(seconds=5)
    assert not outage.was_recent(), "the clock that all share was not set"


def test_it_is_asked_once_in_a_minute(monkeypatch):
    asked = []
    real = clock.ask
    monkeypatch.setattr(clock, "ask", lambda: asked.append(1) or real())
    monkeypatch.setattr(clock, "_reading", None)
    for _ in range(100):
        clock.now()
    assert len(asked) == 1


def test_the_statements_of_a_process_whose_clock_is_off_say_the_shared_time(at, off, alice):
    at(off)
    token = ApiToken.issue(alice)  # its column's default is the database's
    [row] = ApiToken.objects.annotate(now=Now()).values("created_at", "now")
    assert token and abs(row["now"] - row["created_at"]) < timedelta(seconds=5)
    assert abs(row["now"] - true_time()) < timedelta(seconds=5)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="it is SQLite's own function that is ours")
def test_sqlites_own_function_is_as_it_was():
    with connection.cursor() as cursor:
        cursor.execute("SELECT STRFTIME('%Y-%m-%d %H:%M', '2026-01-31 10:20', '+1 day'), STRFTIME('%Y', NULL)")
        assert cursor.fetchone() == ("2026-02-01 10:20", None)
        cursor.execute("SELECT STRFTIME('%s', 'now', '+1 hour')")
        assert int(cursor.fetchone()[0]) == pytest.approx(time.time() + 3600, abs=5)


def test_while_nobody_says_the_time_it_is_counted_on(monkeypatch, at):
    before = clock.now()
    monkeypatch.setattr(clock, "_of_valkey", lambda: None)
    monkeypatch.setattr(clock, "_of_database", lambda: None)
    at(HOUR)
    assert before <= clock.now() < before + timedelta(seconds=5)


def test_a_job_that_a_host_ahead_has_put_is_taken_by_a_host_that_is_right(at, session, alice):
    at(HOUR)
    answer = answer_of(ask(session, alice))
    async_task("assistant.tasks.sweep")
    at(timedelta(0))
    OrmQ.objects.filter(pk=answer.job).update(lock=Now())  # a second later
    taken = [queue.DoorbellBroker()._take() for _ in range(2)]
    assert all(taken) and queue.DoorbellBroker()._take() is None
    assert claiming.waiting() == [answer.pk]


def test_a_host_ahead_takes_no_job_that_another_holds(at, session, alice):
    answer_of(ask(session, alice))
    at(HOUR)
    assert queue.DoorbellBroker()._take() is None, "it is held back for the workers"


def test_a_lock_longer_than_any_is_of_before_the_clock_was_set_back():
    async_task("assistant.tasks.sweep")
    OrmQ.objects.update(lock=Now() + HOUR)
    assert queue.DoorbellBroker()._take()


def test_a_pause_ends_for_all_at_the_same_time(at, off, session, alice, worker, settings):
    first = answer_of(ask(session, alice))
    waiting = ask(session, alice, "next").message
    at(off)
    fail(claimed(first, worker))
    at(timedelta(0))
    left = ChatSession.objects.get(pk=session.pk).queue_paused_until - true_time()
    assert timedelta(seconds=25) < left <= timedelta(seconds=31)
    at(off)
    assert not recovery.resting_sessions()
    recovery.wake_queue(session.pk)
    assert now(waiting).status == "pending"
    for over in (true_time() - timedelta(seconds=1), true_time() + HOUR):  # the second: the clock was set back since
        ChatSession.objects.filter(pk=session.pk).update(queue_paused_until=over)
        assert recovery.resting_sessions() == [session.pk]
    recovery.wake_queue(session.pk)
    assert now(waiting).status == "success"


def test_an_invitation_ends_when_the_database_says_so(at, off, session, alice):
    at(off)
    made, token = Invitation.issue(session, alice, Role.EDITOR, lifetime_seconds=600)
    at(timedelta(0))
    assert Invitation.find(token)
    at(off)
    assert Invitation.find(token)
    Invitation.objects.filter(pk=made.pk).update(expires_at=true_time())
    assert Invitation.find(token) is None


def test_a_day_s_budget_is_counted_by_the_shared_day(at, alice):
    at(timedelta(days=1))
    UsageRecord.objects.create(user=alice, model="test/model", prompt_tokens=1)
    assert UsageRecord.objects.of_day(alice.pk).count() == 1
    at(timedelta(0))
    assert UsageRecord.objects.of_day(alice.pk).count() == 1


def test_what_is_stuck_is_found_whatever_the_clocks_say(at, off, session, alice, capsys):
    from django.core.management import call_command

    at(off)
    answer = answer_of(ask(session, alice))
    Message.objects.filter(pk=answer.pk).update(created_at=clock.now() - timedelta(minutes=5))
    OrmQ.objects.all().delete()
    at(-off)
    call_command("cleanup_messages", "--dry-run")
    said = capsys.readouterr().out
    assert str(answer.pk) in said and "age=30" in said


def test_a_worker_heard_in_the_future_is_dead_for_the_living_are_heard_now():
    worker = a_worker()
    WorkerProcess.objects.filter(pk=worker.pk).update(heartbeat_at=Now() + HOUR)
    assert not WorkerProcess.objects.alive().exists()


def test_nobody_is_judged_right_after_the_shared_clock_was_set(monkeypatch, worker):
    lease = Lease(worker, None, None, None)
    clock.ask()
    assert lease.may_judge
    said = clock._of_valkey if connection.vendor == "sqlite" else clock._of_database
    monkeypatch.setattr(clock, said.__name__, lambda: said() + 3600)
    clock.ask()
    assert not lease.may_judge and outage.was_recent()


def test_a_schedule_of_a_host_ahead_is_brought_back():
    rows = Schedule.objects.filter(func__startswith="assistant.tasks.")
    for row in rows:  # those of the migrations are not in each of the suite's databases
        row.delete()
    for minutes, due in ((5, HOUR), (60, timedelta(minutes=50))):
        Schedule.objects.create(
            func="assistant.tasks.sweep", schedule_type="I", minutes=minutes, next_run=true_time() + due
        )
    queue.bring_schedules_back()
    early, late = (row.next_run - true_time() for row in Schedule.objects.order_by("minutes"))
    assert early < timedelta(seconds=5) and late > timedelta(minutes=49)


@pytest.fixture
def just_set(worker, monkeypatch):
    """All clocks of the database went an hour forward, and nobody here has asked since."""

    def happen():
        clock.ask()
        set_back = dataclasses.replace(clock._reading, started=clock._reading.started - HOUR.total_seconds())
        monkeypatch.setattr(clock, "_reading", set_back)
        WorkerProcess.objects.update(heartbeat_at=Now() - HOUR)

    return happen


@pytest.mark.parametrize("judge", ["a join", "the scheduled sweep"])
def test_nobody_takes_an_answer_from_the_living_then(judge, just_set, session, alice, worker):
    answer = answer_of(ask(session, alice))
    claimed(answer, worker)
    just_set()
    if judge == "a join":
        joining.snapshot(session.pk, alice)
    else:
        tasks.sweep()
    assert now(answer).status == "processing"


@pytest.mark.skipif(connection.vendor != "sqlite", reason="it is SQLite's own function that is ours")
def test_a_table_of_a_project_may_have_an_index_by_strftime(transactional_db):
    """Of a function that is not said to be deterministic SQLite takes none, and then reads no table of that file."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE visits (at text)")
        try:
            cursor.execute("CREATE INDEX visits_by_year ON visits (strftime('%Y', at))")
            cursor.execute("INSERT INTO visits VALUES ('2026-11-29 12:00:00')")
            cursor.execute("SELECT strftime('%Y', at) FROM visits")
            assert cursor.fetchall() == [("2026",)]
        finally:
            cursor.execute("DROP TABLE visits")


def test_one_thread_asks_and_the_others_count_on(monkeypatch):
    clock.ask()
    monkeypatch.setattr(clock, "_reading", dataclasses.replace(clock._reading, good_until=0.0))
    monkeypatch.setattr(clock, "ask", lambda: pytest.fail("somebody asks already"))
    with clock._asking:
        assert abs(clock.now() - true_time()) < timedelta(seconds=5)


READS_THE_HOST = (
    r"auto_now|timezone\.(now|localdate)\b|localtime\(\)|time\.time\(|datetime\.(now|utcnow|today)|date\.today"
)
MAY = {
    "delivery/clock.py": "it compares the host's clock with itself, to see that it was set",
    "presentation/export.py": "it is shown",
    "access.py": "Django's sign-ins, which Django itself writes and compares by the host's clock",
    "llm/errors.py": "a provider says when it may be asked again",
    "tools/clock.py": "it tells a model the time",
}


def test_nothing_else_reads_the_clock_of_its_host():
    found = {
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        if "migrations" not in path.parts and re.search(READS_THE_HOST, path.read_text())
    }
    assert found == MAY.keys()
