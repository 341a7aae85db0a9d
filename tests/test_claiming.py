"""A worker takes a pending answer: one of many wins, and a duplicate delivery changes nothing."""

import threading

import pytest
from django.db import connection

from assistant.lifecycle import answering, asking
from assistant.models import Message
from assistant.models.message import Status
from tests.acting import a_worker, answer_of, ask, claimed, fail, finish, now
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def answer(session, alice):
    return answer_of(ask(session, alice))


def test_a_claim_names_worker_and_attempt(answer, worker):
    claim = claimed(answer, worker)
    held = now(answer)
    assert (held.status, held.worker, held.attempt, held.job) == (Status.PROCESSING, worker, 1, None)
    assert held.started_at and held.is_alive()
    assert (claim.message_id, claim.session_id, claim.worker_id, claim.attempt) == (
        answer.pk, answer.session_id, worker.pk, 1,
    )  # fmt: skip


def test_a_second_delivery_of_the_job_changes_nothing(answer, worker):
    claimed(answer, worker)
    before = Message.objects.filter(pk=answer.pk).values().get()
    assert answering.claim(answer.pk, worker) is None
    assert answering.claim(answer.pk, a_worker()) is None
    assert Message.objects.filter(pk=answer.pk).values().get() == before


def test_a_delivery_after_the_end_changes_nothing(answer, worker, alice):
    finish(claimed(answer, worker), "Fine.")
    assert answering.claim(answer.pk, worker) is None
    assert (now(answer).status, now(answer).content) == (Status.SUCCESS, "Fine.")


def test_a_stopped_answer_can_t_be_claimed(answer, worker, alice):
    asking.cancel(answer, alice)
    assert answering.claim(answer.pk, worker) is None
    assert now(answer).status == Status.CANCELLED


def test_a_deleted_answer_can_t_be_claimed(session, answer, worker):
    asking.delete(session)
    assert answering.claim(answer.pk, worker) is None


def test_a_question_can_t_be_claimed(session, answer, worker, bob):
    waiting = ask(session, bob).message
    for question in (answer.reply_to, waiting):
        assert answering.claim(question.pk, worker) is None
    assert now(waiting).status == Status.PENDING


def test_of_workers_that_claim_at_once_one_wins(session, alice):
    workers = [a_worker(f"host {n}") for n in range(4)]
    for _ in range(5):
        answer = answer_of(ask(session, alice))
        claims = at_once(*[lambda w=w, a=answer: answering.claim(a.pk, w) for w in workers])
        [won] = [claim for claim in claims if claim is not None]
        assert (now(answer).worker_id, now(answer).attempt) == (won.worker_id, 1)
        assert finish(won)


def test_of_two_workers_that_both_saw_it_pending_one_wins(answer, monkeypatch):
    """Both have read the row before either writes: the UPDATE decides, not the read.

    On SQLite the second can't read before the first has committed; there only the outcome is looked at.
    """
    both_have_read = threading.Barrier(2)
    real = answering.next_version

    def meet():
        if connection.vendor != "sqlite":
            both_have_read.wait(30)
        return real()

    monkeypatch.setattr(answering, "next_version", meet)
    first, second = a_worker("first"), a_worker("second")
    claims = at_once(lambda: answering.claim(answer.pk, first), lambda: answering.claim(answer.pk, second))
    assert not any(isinstance(claim, BaseException) for claim in claims), claims
    assert sum(claim is not None for claim in claims) == 1 and now(answer).attempt == 1


def test_a_stop_and_a_claim_at_once_end_stopped(session, alice, worker):
    for _ in range(5):
        answer = answer_of(ask(session, alice))
        claim, _ = at_once(lambda a=answer: answering.claim(a.pk, worker), lambda a=answer: asking.cancel(a, alice))
        assert now(answer).status == Status.CANCELLED
        assert claim is None or not finish(claim, "too late")
        assert now(answer).content == ""


def test_each_claim_is_a_new_attempt_and_puts_the_earlier_text_aside(answer, worker):
    claim = claimed(answer, worker)
    answering.hand_over(claim, answering.Written("Some text", 4))
    waiting = now(answer)
    assert (waiting.status, waiting.content, waiting.seq, waiting.worker) == (Status.PENDING, "Some text", 4, None)
    again = claimed(answer, a_worker())
    held = now(answer)
    assert (again.attempt, held.content, held.seq, held.salvage) == (2, "", 0, "Some text")
    assert held.started_at == waiting.started_at


def test_the_longest_text_of_all_attempts_is_what_is_put_aside(answer, worker):
    for text in ("longest of all", "shorter", ""):
        answering.hand_over(claimed(answer, worker), answering.Written(text, 1))
    claim = claimed(answer, worker)
    assert now(answer).salvage == "longest of all"
    fail(claim, "four")
    assert (now(answer).content, now(answer).salvage) == ("longest of all", "")


def test_viewers_are_told_of_a_rewrite_before_its_first_delta(answer, worker, frames):
    answering.hand_over(claimed(answer, worker), answering.Written("Some text", 4))
    frames.clear()
    claimed(answer, worker)
    reset, updated = frames
    assert reset == {
        "type": "message.reset", "message_id": str(answer.pk), "attempt": 2, "seq": 0, "content": "", "html": [],
        "reasoning": None,
    }  # fmt: skip
    assert (updated["message"]["status"], updated["message"]["attempt"]) == ("processing", 2)


def test_a_session_has_one_running_answer_by_constraint(session, answer):
    from django.db import IntegrityError, transaction

    with pytest.raises(IntegrityError), transaction.atomic():
        Message.objects.create(
            session=session, role="assistant", status=Status.PENDING, position=9, reply_to=answer.reply_to
        )
