"""A worker takes a pending answer: one of many wins, and a duplicate delivery changes nothing."""

import pytest
from django_q.models import OrmQ

from assistant.lifecycle import answering, asking, claiming, session_changes
from assistant.lifecycle.answering import Written
from assistant.models import Message
from assistant.models.message import Status
from tests.acting import a_room, a_worker, answer_of, ask, claimed, fail, finish, now
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def rooms(alice):
    return lambda count: [a_room(alice) for _ in range(count)]


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
    assert claiming.claim(answer.pk, worker) is None
    assert claiming.claim(answer.pk, a_worker()) is None
    assert Message.objects.filter(pk=answer.pk).values().get() == before


def test_a_delivery_after_the_end_changes_nothing(answer, worker, alice):
    finish(claimed(answer, worker), "Fine.")
    assert claiming.claim(answer.pk, worker) is None
    assert (now(answer).status, now(answer).content) == (Status.SUCCESS, "Fine.")


def test_a_stopped_answer_can_t_be_claimed(answer, worker, alice):
    asking.cancel(answer, alice)
    assert claiming.claim(answer.pk, worker) is None
    assert now(answer).status == Status.CANCELLED


def test_a_deleted_answer_can_t_be_claimed(session, answer, worker):
    session_changes.delete(session)
    assert claiming.claim(answer.pk, worker) is None


def test_a_question_can_t_be_claimed(session, answer, worker, bob):
    waiting = ask(session, bob).message
    for question in (answer.reply_to, waiting):
        assert claiming.claim(question.pk, worker) is None
    assert now(waiting).status == Status.PENDING


def test_of_workers_that_claim_at_once_one_wins(session, alice):
    workers = [a_worker(f"host {n}") for n in range(4)]
    for _ in range(5):
        answer = answer_of(ask(session, alice))
        claims = at_once(*[lambda w=w, a=answer: claiming.claim(a.pk, w) for w in workers])
        [won] = [claim for claim in claims if claim is not None]
        assert (now(answer).worker_id, now(answer).attempt) == (won.worker_id, 1)
        assert finish(won)


def test_of_two_workers_that_both_saw_it_pending_one_wins(rooms, alice):
    """Both have looked at what waits before either claims it, and claim all of it at once."""
    first, second = a_worker("first"), a_worker("second")
    for _ in range(5):
        answers = [answer_of(ask(room, alice)) for room in rooms(4)]
        seen = claiming.waiting()
        assert seen == [answer.pk for answer in answers]
        claims = at_once(
            lambda ids=seen: claiming.claim_any(ids, first), lambda ids=seen: claiming.claim_any(ids, second)
        )
        assert not any(isinstance(claim, BaseException) for claim in claims), claims
        assert sorted(claim.message_id for of in claims for claim in of) == sorted(seen)
        for claim in [*claims[0], *claims[1]]:
            assert (now(answers[seen.index(claim.message_id)]).worker_id, claim.attempt) == (claim.worker_id, 1)
            assert finish(claim)


def test_any_number_is_claimed_in_three_statements(rooms, alice, worker, django_assert_num_queries):
    for count in (1, 2, claiming.BATCH):
        answers = [answer_of(ask(room, alice)) for room in rooms(count)]
        with django_assert_num_queries(5):  # BEGIN and COMMIT among them
            claims = claiming.claim_any([answer.pk for answer in answers], worker)
        assert [claim.message_id for claim in sorted(claims, key=lambda claim: claim.job)] == [a.pk for a in answers]
        assert not OrmQ.objects.exists()
        for answer in answers:
            held = now(answer)
            assert (held.status, held.worker, held.attempt, held.job) == (Status.PROCESSING, worker, 1, None)


def test_among_many_a_resumed_one_goes_on_and_one_that_has_ended_is_left(rooms, alice, worker):
    fresh, resumed, ended = [answer_of(ask(room, alice)) for room in rooms(3)]
    assert answering.hand_over(claimed(resumed, worker), Written("As far", 2))
    asking.cancel(ended, alice)
    claims = claiming.claim_any([fresh.pk, resumed.pk, ended.pk], worker)
    assert {claim.message_id: claim.attempt for claim in claims} == {fresh.pk: 1, resumed.pk: 2}
    assert (now(resumed).content, now(resumed).salvage) == ("", "As far")
    assert now(ended).status == Status.CANCELLED and not OrmQ.objects.exists()


def test_a_parked_answer_is_not_fetched(session, alice, worker):
    answer = answer_of(ask(session, alice))
    Message.objects.filter(pk=answer.pk).update(job=None, is_parked=True)
    assert claiming.waiting() == [] and claiming.claim_any([answer.pk], worker) == []


def test_a_stop_and_a_claim_at_once_end_stopped(session, alice, worker):
    for _ in range(5):
        answer = answer_of(ask(session, alice))
        claim, _ = at_once(lambda a=answer: claiming.claim(a.pk, worker), lambda a=answer: asking.cancel(a, alice))
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
