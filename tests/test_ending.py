"""An answer ends once, by the worker and attempt that hold it or by a stop, and everybody sees what was kept."""

import pytest

from assistant import markup
from assistant.delivery import live_text
from assistant.lifecycle import answering, asking, recovery, session_changes
from assistant.lifecycle.answering import Failure, Written
from assistant.lifecycle.refusal import Refused
from assistant.models import Message
from tests.acting import (
    FAILURE,
    a_worker,
    answer_of,
    ask,
    claimed,
    fail,
    finish,
    jobs,
    kill,
    now,
    revive,
    running,
    write,
)
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def stored(message):
    return Message.objects.filter(pk=message.pk).values().get()


# --- the three endings ---


def test_success_stores_the_text_its_html_and_its_usage(answer, claim):
    assert answering.succeed(claim, Written("**Fine.**", 3), {"total_tokens": 7})
    ended = now(answer)
    assert (ended.status, ended.content, ended.seq, ended.usage) == ("success", "**Fine.**", 3, {"total_tokens": 7})
    assert ended.html == {"version": markup.VERSION, "blocks": markup.blocks("**Fine.**")}
    assert ended.worker is None and ended.job is None and ended.finished_at and not ended.is_alive()


def test_failure_stores_its_category_and_sentence_and_keeps_the_partial_text(answer, claim):
    assert answering.fail(claim, Written("As far as", 2), FAILURE)
    ended = now(answer)
    assert (ended.status, ended.content, ended.error_code, ended.error_detail) == (
        "error", "As far as", FAILURE.code, FAILURE.detail,
    )  # fmt: skip
    assert ended.html["blocks"] == markup.blocks("As far as") and ended.worker is None and ended.finished_at


WAYS = {
    "success": lambda answer, claim, by: finish(claim, "Partly.", 2),
    "failure": lambda answer, claim, by: fail(claim, "Partly.", 2),
    "stop": lambda answer, claim, by: asking.cancel(answer, by),
    "given up": lambda answer, claim, by: recovery.give_up(now(answer)),
}


@pytest.mark.parametrize("way", WAYS)
def test_whoever_ends_an_answer_leaves_it_whole(way, session, answer, claim, alice, frames):
    """Its text with its HTML, no worker, no job, nothing put aside, what was asked in vain; and it is told once."""
    write(claim, "Partly.", 2)
    Message.objects.filter(pk=answer.pk).update(
        salvage="Less", tried=[{"model": "m", "code": "timeout", "seconds": 1}]
    )
    assert WAYS[way](answer, claim, alice)
    ended = now(answer)
    assert ended.is_finished and (ended.content, ended.html["blocks"]) == ("Partly.", markup.blocks("Partly."))
    assert (ended.worker, ended.job, ended.is_parked, ended.salvage) == (None, None, False, "")
    assert ended.finished_at and [one["model"] for one in ended.tried] == ["m"]
    told = [
        frame["message"]
        for frame in frames
        if frame["type"] == "message.updated" and frame["message"]["status"] == ended.status
    ]
    assert [message["version"] for message in told] == [ended.version] and told[0]["content"] == "Partly."


def test_a_failure_that_no_database_stores_is_stored_all_the_same(answer, claim):
    assert answering.fail(claim, Written("", 0), Failure("internal", "It said \x00.", "\ud800 was sent."))
    ended = now(answer)
    assert (ended.error_detail, ended.error_note) == ("It said .", "\ufffd was sent.")


def test_a_long_sentence_of_a_failure_is_clamped(answer, claim):
    answering.fail(claim, Written("", 0), Failure("internal", "x" * 2000))
    assert now(answer).error_detail == "x" * 500


@pytest.mark.parametrize("blank", ["", "  \n\t ", "\u200b\ufeff"])
def test_blank_text_is_not_kept(answer, claim, blank, alice):
    answering.fail(claim, Written(blank, 1), FAILURE)
    assert (now(answer).content, now(answer).html["blocks"]) == ("", [])


@pytest.mark.parametrize("blank", ["", "  \n\t ", "\u200b\ufeff"])
def test_a_stop_keeps_no_blank_text_either(answer, claim, blank, alice):
    write(claim, blank, 1)
    asking.cancel(answer, alice)
    assert now(answer).content == ""


def test_a_stop_keeps_exactly_what_was_shown_and_says_who(answer, claim, bob):
    answering.checkpoint({claim: Written("As", 1)})
    write(claim, "As **far** as", 3)
    stopped = asking.cancel(answer, bob)
    assert (stopped.status, stopped.content, stopped.seq, stopped.stopped_by) == (
        "cancelled",
        "As **far** as",
        3,
        bob,
    )
    assert stopped.html["blocks"] == markup.blocks("As **far** as") and stopped.worker is None
    assert stopped.finished_at


def test_a_stop_keeps_the_checkpoint_where_the_live_text_is_gone_or_older(answer, claim, alice):
    answering.checkpoint({claim: Written("Further than Valkey knows", 5)})
    write(claim, "Further", 2)
    assert asking.cancel(answer, alice).content == "Further than Valkey knows"


def test_a_stop_ignores_the_live_text_of_an_earlier_attempt(answer, claim, worker, alice):
    answering.hand_over(claim, Written("old", 9))
    claimed(answer, worker)
    write(claim, "old, but long, and of the first attempt", 9)
    assert asking.cancel(answer, alice).content == "old"  # the salvage: the second attempt wrote nothing


def test_a_stop_before_the_claim_takes_the_job_back(answer, alice):
    asking.cancel(answer, alice)
    assert (now(answer).status, now(answer).stopped_by, jobs()) == ("cancelled", alice, [])


def test_a_stop_works_on_an_answer_whose_worker_is_dead(answer, claim, worker, alice):
    write(claim, "As far as", 2)
    kill(worker)
    assert asking.cancel(answer, alice).content == "As far as"


def test_a_stop_tells_the_worker_which_attempt_to_end(answer, claim, worker, alice, sent_to_workers):
    asking.cancel(answer, alice)
    assert sent_to_workers() == [
        (worker.mailbox, {"type": "turn.stop", "message_id": str(answer.pk), "attempt": claim.attempt})
    ]


def test_a_stop_after_the_end_says_so_and_changes_nothing(answer, claim, alice):
    finish(claim, "Fine.")
    before = stored(answer)
    for _ in range(2):
        with pytest.raises(Refused) as refusal:
            asking.cancel(answer, alice)
        assert (refusal.value.code, refusal.value.status) == ("already_finished", 409)
    assert stored(answer) == before


def test_a_question_can_t_be_stopped(answer, alice):
    with pytest.raises(Refused) as refusal:
        asking.cancel(answer.reply_to, alice)
    assert refusal.value.code == "not_an_answer"


def test_an_ending_discards_the_live_text(session, alice, worker):
    def end_by(ending):
        answer = answer_of(ask(session, alice))
        claim = claimed(answer, worker)
        write(claim, "text", 1)
        ending(answer, claim)
        return live_text.read(answer.pk)

    assert end_by(lambda answer, claim: finish(claim)) is None
    assert end_by(lambda answer, claim: fail(claim)) is None
    assert end_by(lambda answer, claim: asking.cancel(answer, alice)) is None


def test_the_partial_text_reaches_viewers_before_the_live_text_is_gone(answer, claim, frames, monkeypatch):
    """Race 10: the ending carries the whole text, and only then is the buffer cleared."""
    order = []
    monkeypatch.setattr(live_text, "discard", lambda message_id: order.append(len(frames)))
    write(claim, "As far as", 2)
    frames.clear()
    fail(claim, "As far as", 2)
    [told] = [frame for frame in frames if frame["type"] == "message.updated"]
    assert told["message"]["content"] == "As far as" and told["message"]["error"]["code"] == FAILURE.code
    assert order == [len(frames)]


def test_a_later_success_clears_the_failure_and_the_salvage(answer, claim, worker):
    Message.objects.filter(pk=answer.pk).update(error_code="timeout", error_detail="Too long.")
    answering.hand_over(claim, Written("a much longer text than the final one", 9))
    finish(claimed(answer, worker), "Short.")
    ended = now(answer)
    assert (ended.content, ended.salvage, ended.error_code, ended.error_detail) == ("Short.", "", "", "")


# --- the fences ---

ENDINGS = {
    "succeed": lambda claim: answering.succeed(claim, Written("late", 99), None),
    "fail": lambda claim: answering.fail(claim, Written("late", 99), FAILURE),
    "hand over": lambda claim: answering.hand_over(claim, Written("late", 99)),
    "checkpoint": lambda claim: claim not in answering.checkpoint({claim: Written("late", 99)}),
}


@pytest.fixture(params=list(ENDINGS))
def late_write(request):
    """Each way in which a worker writes; returns whether it was let."""
    return ENDINGS[request.param]


def test_a_late_worker_cannot_overwrite_a_stopped_answer(answer, claim, alice, late_write, frames):
    write(claim, "shown", 1)
    asking.cancel(answer, alice)
    before, told = stored(answer), len(frames)
    assert not late_write(claim)
    assert stored(answer) == before and len(frames) == told and jobs() == []


def test_a_late_worker_cannot_overwrite_a_finished_answer(answer, claim, late_write):
    finish(claim)
    before = stored(answer)
    assert not late_write(claim) and stored(answer) == before


def test_a_zombie_cannot_overwrite_its_successor(answer, claim, worker, late_write):
    """Race 36: its lease ran out, its turn was taken over, and it comes back."""
    kill(worker)
    assert recovery.sweep() == {"recovered": 1}
    successor = claimed(answer, a_worker("other"))
    revive(worker)
    before = stored(answer)
    assert not late_write(claim) and stored(answer) == before
    assert finish(successor, "Whole.") and now(answer).content == "Whole."


def test_an_earlier_attempt_of_the_same_worker_is_fenced_too(answer, claim, worker, late_write):
    answering.hand_over(claim, Written("", 0))
    successor = claimed(answer, worker)
    before = stored(answer)
    assert not late_write(claim) and stored(answer) == before and finish(successor)


def test_a_zombie_cannot_write_to_an_answer_that_waits_for_its_successor(answer, claim, worker, late_write):
    kill(worker)
    recovery.sweep()
    revive(worker)
    before, waiting = stored(answer), jobs()
    assert not late_write(claim) and stored(answer) == before and jobs() == waiting


def test_a_worker_cannot_write_with_another_s_claim(answer, claim, late_write):
    import dataclasses

    before = stored(answer)
    assert not late_write(dataclasses.replace(claim, worker_id=a_worker("thief").pk)) and stored(answer) == before


def test_writing_to_a_deleted_session_is_quietly_nothing(session, answer, claim, late_write):
    session_changes.delete(session)
    assert not late_write(claim) and not Message.objects.exists()


def test_a_failure_of_an_old_answer_is_not_written_to_the_newest(session, answer, claim, alice, worker):
    """Race 5: an ending names its message."""
    asking.cancel(answer, alice)
    newest = claimed(answer_of(ask(session, alice)), worker)
    assert not fail(claim, "old")
    assert running(session).pk == newest.message_id and running(session).error_code == ""


def test_the_rows_held_are_those_that_are_not_lost(session, alice, worker):
    claimed(answer_of(ask(session, alice)), worker)
    asking.cancel(running(session), alice)
    held = claimed(answer_of(ask(session, alice)), worker)
    assert answering.rows_held_by(worker.pk) == {(held.message_id, held.attempt)}


def test_a_checkpoint_stores_many_turns_and_names_the_lost(session, alice, worker):
    lost = claimed(answer_of(ask(session, alice)), worker)
    asking.cancel(running(session), alice)
    held = claimed(answer_of(ask(session, alice)), worker)
    assert answering.checkpoint({lost: Written("x", 1), held: Written("As far", 2)}) == {lost}
    assert (running(session).content, running(session).seq) == ("As far", 2) and running(session).last_piece_at


def test_a_hand_over_is_pending_with_a_fresh_job_and_doesn_t_count_as_a_death(answer, claim):
    """Race 1: who is stopped by a deploy gives its turn back in one transaction; nothing has to report it later."""
    assert answering.hand_over(claim, Written("As far as", 2))
    waiting = now(answer)
    assert (waiting.status, waiting.worker, waiting.recoveries, waiting.content) == ("pending", None, 0, "As far as")
    assert waiting.is_alive() and jobs()[-1] == str(answer.pk)


# --- at once ---


def test_a_stop_and_a_finish_at_once_have_one_winner(session, alice, worker):
    for _ in range(6):
        answer = answer_of(ask(session, alice))
        claim = claimed(answer, worker)
        write(claim, "As far", 1)
        stop, finished = at_once(
            lambda a=answer: asking.cancel(a, alice), lambda c=claim: finish(c, "As far as it goes")
        )
        ended = now(answer)
        if finished:
            assert isinstance(stop, Refused) and stop.code == "already_finished", stop
            assert (ended.status, ended.content, ended.stopped_by) == ("success", "As far as it goes", None)
        else:
            assert (ended.status, ended.content, ended.stopped_by) == ("cancelled", "As far", alice)


def test_two_who_stop_at_once_one_did_it(session, alice, bob, worker):
    for _ in range(4):
        answer = answer_of(ask(session, alice))
        claimed(answer, worker)
        results = at_once(lambda a=answer: asking.cancel(a, alice), lambda a=answer: asking.cancel(a, bob))
        [refused] = [result for result in results if isinstance(result, BaseException)]
        [stopped] = [result for result in results if isinstance(result, Message)]
        assert refused.code == "already_finished" and now(answer).stopped_by == stopped.stopped_by


def test_a_hand_over_and_a_stop_at_once_end_stopped(session, alice, worker):
    for _ in range(5):
        answer = answer_of(ask(session, alice))
        claim = claimed(answer, worker)
        at_once(lambda c=claim: answering.hand_over(c, Written("x", 1)), lambda a=answer: asking.cancel(a, alice))
        assert (now(answer).status, jobs()[:1]) == ("cancelled", []) and not now(answer).is_alive()


def test_deleting_the_session_and_finishing_at_once_break_nothing(session, alice, bob, worker):
    from assistant.models import ChatSession

    for _ in range(4):
        room = ChatSession.objects.create()
        claim = claimed(answer_of(ask(room, alice)), worker)
        ask(room, bob, "second")
        results = at_once(lambda r=room: session_changes.delete(r), lambda c=claim: finish(c))
        assert results[0] is None and results[1] in (True, False), results
        assert not ChatSession.objects.filter(pk=room.pk).exists() and jobs() == []


# --- retry ---


def test_a_retry_is_a_new_answer_to_the_same_question_in_the_same_place(session, answer, claim, worker):
    fail(claim, "half")
    again = asking.retry(now(answer))
    assert again != answer and (again.reply_to, again.position) == (answer.reply_to, answer.position)
    assert now(answer).content == "half" and now(again).is_alive()
    finish(claimed(again, worker))
    assert [m.status for m in session.messages.in_order()] == ["success", "error", "success"]


def test_a_retry_may_choose_another_model(answer, claim):
    fail(claim)
    assert asking.retry(now(answer), "test/other").model == "test/other"
    assert now(answer).model == "test/model" and now(answer.reply_to).model == ""


def test_a_retry_with_an_unknown_model_is_refused(answer, claim):
    fail(claim)
    with pytest.raises(Refused) as refusal:
        asking.retry(now(answer), "nobody/knows")
    assert refusal.value.code == "invalid_model"


def test_a_retry_while_an_answer_runs_is_refused(session, answer, claim, alice):
    with pytest.raises(Refused) as refusal:
        asking.retry(now(answer))
    assert (refusal.value.code, refusal.value.status) == ("session_busy", 409)


def test_a_waiting_or_withdrawn_question_can_t_be_retried(session, answer, bob):
    waiting = ask(session, bob).message
    for _ in range(2):
        with pytest.raises(Refused) as refusal:
            asking.retry(now(waiting))
        assert refusal.value.code == "not_answerable"
        asking.withdraw(waiting) if now(waiting).status == "pending" else None


def test_two_people_press_retry_at_once(session, answer, claim, worker):
    fail(claim)
    for _ in range(4):
        results = at_once(*[lambda: asking.retry(now(answer))] * 2)
        [refused] = [result for result in results if isinstance(result, Refused)]
        assert refused.code == "session_busy" and session.messages.running().count() == 1
        finish(claimed(running(session), worker))
